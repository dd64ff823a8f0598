#include "halftone/report/html_page.h"
#include "halftone/report/svg_chart.h"
#include "tests/support/test.h"

namespace halftone::report {
namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(SvgChart, HasALabelDashesAndMarkersForEachCurve) {
  const std::string svg = svg_line_chart(
      {"Accuracy", "epoch", "%", {{"fp32", {1, 2}, {80, 90}}, {"bf16", {1, 2}, {81, 90}}}});
  EXPECT_TRUE(contains(svg, ">fp32</text>") && contains(svg, ">bf16</text>"));
  EXPECT_EQ(count(svg, "<polyline"), 4u);         // each with a sample at its label
  EXPECT_EQ(count(svg, "stroke-dasharray"), 2u);  // the first is solid
  EXPECT_EQ(count(svg, "<polygon"), 4u);
}

TEST(SvgChart, NamesAreEscaped) {
  const std::string svg = svg_line_chart({"a<b>&\"c\"", "x", "y", {{"<s>", {1}, {1}}}});
  EXPECT_TRUE(contains(svg, "a&lt;b&gt;&amp;&quot;c&quot;"));
  EXPECT_FALSE(contains(svg, "<s>"));
}

TEST(HtmlPage, NeedsNothingFromElsewhere) {
  HtmlPage page("fp32 & bf16");
  page.add_summary("a <b> c");
  page.add_table({{"", "fp32"}, {"step", "1 ms"}});
  page.add_charts({{"Loss", "step", "", {{"fp32", {1, 2}, {1, 2}}}}});
  const std::string html = page.str();
  EXPECT_TRUE(contains(html, "<title>fp32 &amp; bf16</title>"));
  EXPECT_TRUE(contains(html, "a &lt;b&gt; c"));
  EXPECT_TRUE(contains(html, "prefers-color-scheme:dark"));
  EXPECT_TRUE(contains(html, "name=\"viewport\""));
  for (const char* fetched : {"<script", "src=", "href=", "url(", "@import"}) {
    EXPECT_FALSE(contains(html, fetched)) << fetched;
  }
}

}  // namespace
}  // namespace halftone::report
