// XML (W3C, 1.0), parsed by expat.
#pragma once

#include <string>
#include <vector>

namespace halftone::data {

struct XmlElement {
  std::string name, text;  // text: of its own, without spaces around it
  long line = 0;           // where it begins
  std::vector<XmlElement> children;

  // The first child called `name`; null where there is none.
  const XmlElement* find(const std::string& name) const;
};

// The root. where: for messages. Throws Error with the line where it is not well-formed, and for
// elements more than 64 deep.
XmlElement parse_xml(const std::string& content, const std::string& where);

}  // namespace halftone::data
