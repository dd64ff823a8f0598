#include "halftone/tasks/image_grid.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/report/canvas.h"

namespace halftone::tasks {
namespace {

constexpr std::int64_t kMagnified = 2, kFrame = 2;  // pixels

}  // namespace

std::string image_grid(const at::Tensor& images, std::int64_t columns) {
  const bool right = images.dim() == 4 && images.size(0) > 0 &&
                     (images.size(1) == 1 || images.size(1) == 3) && columns > 0;
  if (!right) {
    std::ostringstream given;
    given << "images " << images.sizes() << " in " << columns << " columns";
    throw Error(given.str(), "(N, 1 or 3, H, W), one column or more", "picture");
  }
  const std::int64_t count = images.size(0), rows = (count + columns - 1) / columns;
  const std::int64_t high = kMagnified * images.size(2), wide = kMagnified * images.size(3);
  const std::int64_t height = rows * (high + kFrame) + kFrame;
  const std::int64_t width = columns * (wide + kFrame) + kFrame;
  const at::Tensor bytes = ((images.detach().to(at::kCPU, at::kFloat).clamp(-1, 1) + 1) * 127.5)
                               .round()
                               .to(at::kByte)
                               .expand({count, 3, images.size(2), images.size(3)})
                               .repeat_interleave(kMagnified, 2)
                               .repeat_interleave(kMagnified, 3)
                               .permute({0, 2, 3, 1});
  const at::Tensor picture = at::full({height, width, 3}, 220, at::kByte);
  for (std::int64_t i = 0; i < count; ++i) {
    picture.narrow(0, kFrame + i / columns * (high + kFrame), high)
        .narrow(1, kFrame + i % columns * (wide + kFrame), wide)
        .copy_(bytes[i]);
  }
  const auto* first = picture.const_data_ptr<std::uint8_t>();
  return report::Canvas(static_cast<int>(width), static_cast<int>(height),
                        std::vector<unsigned char>(first, first + picture.numel()))
      .png();
}

}  // namespace halftone::tasks
