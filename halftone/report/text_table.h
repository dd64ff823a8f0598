// A table for the terminal.
#pragma once

#include <string>
#include <vector>

namespace halftone::report {

// Columns as wide as their widest cell (counted in UTF-8 code points); the first is left-aligned,
// the others right-aligned.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);

  // cells: as many as the header has; throws Error otherwise.
  void add_row(std::vector<std::string> cells);

  // One line per row, a rule of dashes under the header; ends in a newline.
  std::string str() const;

  const std::vector<std::vector<std::string>>& rows() const { return rows_; }  // [0]: the header

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace halftone::report
