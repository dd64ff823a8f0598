#include "halftone/tasks/pictures.h"

#include <map>

#include "halftone/base/error.h"
#include "halftone/base/file.h"

namespace halftone::tasks {

report::Canvas photograph(const at::Tensor& image) {
  const at::Tensor pixels = image.permute({1, 2, 0}).contiguous();
  const auto* first = pixels.const_data_ptr<std::uint8_t>();
  return {static_cast<int>(image.size(2)), static_cast<int>(image.size(1)),
          std::vector<unsigned char>(first, first + pixels.numel())};
}

std::vector<std::filesystem::path> picture_paths(const std::vector<std::string>& inputs,
                                                 const std::string& kind,
                                                 const PredictOptions& options) {
  const std::filesystem::path directory = options.pictures.value_or(".");
  std::vector<std::filesystem::path> paths;
  std::map<std::string, std::string> taken;
  for (const std::string& input : inputs) {
    const std::string name = std::filesystem::path(input).stem().string() + "." + kind + ".png";
    const auto [other, added] = taken.emplace(name, input);
    if (!added) {
      throw UsageError(
          "the pictures of " + other->second + " and " + input + " would both be " + name,
          "images of different names, or one at a time", "predict");
    }
    paths.push_back(directory / name);
  }
  make_directories(directory);
  return paths;
}

}  // namespace halftone::tasks
