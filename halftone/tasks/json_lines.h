// Files of one JSON object per line, as a run writes them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"

namespace halftone::tasks {

// visit(json) for each whole line of the file, which need not exist; what is torn is passed over.
template <class Visit>
void for_each_line(const std::filesystem::path& path, Visit&& visit) {
  if (!std::filesystem::exists(path)) return;
  const std::string content = read_file(path);
  for (std::size_t begin = 0, end; begin < content.size(); begin = end + 1) {
    end = content.find('\n', begin);
    if (end == std::string::npos) return;
    Json json;
    try {
      json = Json::parse(std::string_view(content).substr(begin, end - begin));
    } catch (const Error&) {
      continue;
    }
    visit(json);
  }
}

}  // namespace halftone::tasks
