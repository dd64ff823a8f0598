// A self-contained HTML page: no script, no font, no image from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "halftone/report/heat_map.h"
#include "halftone/report/line_chart.h"

namespace halftone::report {

// Readable in a browser in light and dark, on a phone (charts stack, tables scroll) and on paper.
// All text is escaped.
class HtmlPage {
 public:
  explicit HtmlPage(const std::string& title);

  void add_heading(const std::string& text);
  void add_paragraph(const std::string& text);
  // A paragraph that stands out: the result in one sentence.
  void add_summary(const std::string& text);
  // rows[0] is the header; the first column names the row.
  void add_table(const std::vector<std::vector<std::string>>& rows);
  // Side by side where there is room, each under its title.
  void add_charts(const std::vector<LineChart>& charts);
  // Over the whole width, under its title.
  void add_heat_map(const HeatMap& map);
  void add_preformatted(const std::string& text);

  std::string str() const;

 private:
  std::string title_, body_;
};

}  // namespace halftone::report
