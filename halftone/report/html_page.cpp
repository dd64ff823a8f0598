#include "halftone/report/html_page.h"

#include "halftone/report/svg_chart.h"

namespace halftone::report {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--paper:#fff;--ink:#22262b;--soft:#5b6470;--grid:#d9dce1;--tint:#f2f5f9;
--line0:#1d5fa6;--line1:#b9450b;--line2:#2c723a;--line3:#6f4297}
@media(prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e6e9ed;--soft:#a3acb8;--grid:#3a4049;
--tint:#20252b;--line0:#7fb4f2;--line1:#f6a066;--line2:#86cf93;--line3:#c9a4ee}}
body{margin:0 auto;max-width:66rem;padding:1rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0}
h2{font-size:1.15rem;margin:1.75rem 0 .5rem}
.summary{background:var(--tint);border-left:.3rem solid var(--line0);padding:.6rem .9rem;margin:1rem 0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem;border-bottom:1px solid var(--grid);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;font-weight:400}
thead th{font-weight:600!important;border-bottom:2px solid var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1.5rem}
figure{margin:0}
figcaption{font-weight:600;margin-bottom:.25rem}
svg{width:100%;height:auto;display:block}
pre{background:var(--tint);padding:.8rem;overflow-x:auto;font-size:.85rem}
@media(max-width:30rem){th,td{padding:.3rem .3rem;font-size:.85rem}thead th,td:last-child{white-space:normal}}
@media print{body{max-width:none}figure{break-inside:avoid}}
)";

}  // namespace

HtmlPage::HtmlPage(const std::string& title)
    : title_(escape_markup(title)), body_("<h1>" + title_ + "</h1>\n") {}

void HtmlPage::add_heading(const std::string& text) {
  body_ += "<h2>" + escape_markup(text) + "</h2>\n";
}

void HtmlPage::add_paragraph(const std::string& text) {
  body_ += "<p>" + escape_markup(text) + "</p>\n";
}

void HtmlPage::add_summary(const std::string& text) {
  body_ += "<p class=\"summary\">" + escape_markup(text) + "</p>\n";
}

void HtmlPage::add_table(const std::vector<std::vector<std::string>>& rows) {
  body_ += "<div class=\"scroll\"><table>\n";
  for (std::size_t r = 0; r < rows.size(); ++r) {
    body_ += r == 0 ? "<thead><tr>" : "<tr>";
    for (std::size_t c = 0; c < rows[r].size(); ++c) {
      const std::string tag = r == 0 || c == 0 ? "th" : "td";
      const std::string scope = r == 0 ? " scope=\"col\"" : c == 0 ? " scope=\"row\"" : "";
      body_ += "<" + tag + scope + ">" + escape_markup(rows[r][c]) + "</" + tag + ">";
    }
    body_ += r == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void HtmlPage::add_charts(const std::vector<LineChart>& charts) {
  body_ += "<div class=\"charts\">\n";
  for (const LineChart& chart : charts) {
    body_ += "<figure><figcaption>" + escape_markup(chart.title) + "</figcaption>\n" +
             svg_line_chart(chart) + "</figure>\n";
  }
  body_ += "</div>\n";
}

void HtmlPage::add_heat_map(const HeatMap& map) {
  body_ += "<figure><figcaption>" + escape_markup(map.title) + "</figcaption>\n" +
           svg_heat_map(map) + "</figure>\n";
}

void HtmlPage::add_preformatted(const std::string& text) {
  body_ += "<pre>" + escape_markup(text) + "</pre>\n";
}

std::string HtmlPage::str() const {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
         title_ + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n" + body_ +
         "</body>\n</html>\n";
}

}  // namespace halftone::report
