#include "halftone/data/codec/xml.h"

#include "tests/support/test.h"

namespace halftone::data {
namespace {

TEST(Xml, ElementsHaveNamesTextLinesAndChildren) {
  const XmlElement root =
      parse_xml("<?xml version=\"1.0\"?>\n<a>\n <b> x &amp; y </b>\n <b/><c>1</c></a>", "f");
  EXPECT_EQ(root.name, "a");
  EXPECT_EQ(root.line, 2);
  ASSERT_EQ(root.children.size(), 3u);
  EXPECT_EQ(root.children[0].text, "x & y");
  EXPECT_EQ(root.children[0].line, 3);
  EXPECT_EQ(root.find("c")->text, "1");
  EXPECT_EQ(root.find("d"), nullptr);
}

TEST(Xml, WhatIsMalformedIsAnErrorWithItsLine) {
  EXPECT_ERROR(parse_xml("<a>\n<b></a>", "f.xml"), "f.xml, line 2: malformed XML (mismatched tag)");
  EXPECT_ERROR(parse_xml("<a>", "f.xml"), "malformed XML (no element found)");
  EXPECT_ERROR(parse_xml("", "f.xml"), "malformed XML (no element found)");
  EXPECT_ERROR(parse_xml("no xml", "f.xml"), "malformed XML (syntax error)");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "<a>";
  EXPECT_ERROR(parse_xml(deep, "f.xml"), "elements more than 64 deep");
}

// Entities that grow as they are taken in (the "billion laughs"): expat's own guard.
TEST(Xml, EntitiesCannotFillTheMemory) {
  std::string bomb =
      "<!DOCTYPE a [<!ENTITY e0 \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\">";
  for (int i = 1; i < 12; ++i) {
    bomb += "<!ENTITY e" + std::to_string(i) + " \"";
    for (int k = 0; k < 10; ++k) bomb += "&e" + std::to_string(i - 1) + ";";
    bomb += "\">";
  }
  EXPECT_ERROR(parse_xml(bomb + "]><a>&e11;</a>", "f.xml"), "malformed XML");
}

}  // namespace
}  // namespace halftone::data
