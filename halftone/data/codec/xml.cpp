#include "halftone/data/codec/xml.h"

#include <expat.h>

#include <algorithm>
#include <memory>

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

constexpr size_t kMostDeep = 64;
constexpr const char* kSpaces = " \t\r\n";

// The elements that are open, the root's holder first. Addresses of children move while more come
// in, so that each is held here until it is whole.
struct XmlBuilder {
  XML_Parser parser;
  std::vector<XmlElement> open{XmlElement{}};
  bool too_deep = false;
};

void begin_element(void* data, const XML_Char* name, const XML_Char**) {
  auto& builder = *static_cast<XmlBuilder*>(data);
  if (builder.open.size() > kMostDeep) {
    builder.too_deep = true;
    XML_StopParser(builder.parser, XML_FALSE);
    return;
  }
  XmlElement element;
  element.name = name;
  element.line = static_cast<long>(XML_GetCurrentLineNumber(builder.parser));
  builder.open.push_back(std::move(element));
}

void end_element(void* data, const XML_Char*) {
  auto& builder = *static_cast<XmlBuilder*>(data);
  if (builder.too_deep) return;
  XmlElement element = std::move(builder.open.back());
  builder.open.pop_back();
  const size_t first = element.text.find_first_not_of(kSpaces);
  element.text =
      first == std::string::npos
          ? ""
          : element.text.substr(first, element.text.find_last_not_of(kSpaces) + 1 - first);
  builder.open.back().children.push_back(std::move(element));
}

void add_text(void* data, const XML_Char* text, int length) {
  auto& builder = *static_cast<XmlBuilder*>(data);
  if (!builder.too_deep) builder.open.back().text.append(text, static_cast<size_t>(length));
}

}  // namespace

const XmlElement* XmlElement::find(const std::string& wanted) const {
  const auto found = std::find_if(children.begin(), children.end(),
                                  [&](const XmlElement& child) { return child.name == wanted; });
  return found == children.end() ? nullptr : &*found;
}

XmlElement parse_xml(const std::string& content, const std::string& where) {
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(
      XML_ParserCreate(nullptr), XML_ParserFree);
  if (!parser) throw Error("expat: out of memory");
  XmlBuilder builder{parser.get()};
  XML_SetUserData(parser.get(), &builder);
  XML_SetElementHandler(parser.get(), begin_element, end_element);
  XML_SetCharacterDataHandler(parser.get(), add_text);
  if (XML_Parse(parser.get(), content.data(), static_cast<int>(content.size()), XML_TRUE) !=
      XML_STATUS_OK) {
    const std::string reason = builder.too_deep ? "elements more than 64 deep"
                                                : XML_ErrorString(XML_GetErrorCode(parser.get()));
    throw Error("malformed XML (" + reason + ")", "a whole XML file",
                where + ", line " + std::to_string(XML_GetCurrentLineNumber(parser.get())));
  }
  return std::move(builder.open.front().children.front());
}

}  // namespace halftone::data
