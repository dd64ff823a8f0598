#include "halftone/base/json.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone {
namespace {

void print_string(std::string& out, const std::string& text) {
  out += '"';
  out += escape(text, "\\u00");
  out += '"';
}

void print_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out += text;
  // So that a number reads back as a number, not as a whole number.
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void new_line(std::string& out, int indent, int level) {
  if (indent == 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent * level), ' ');
}

}  // namespace

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "a whole number", "a number",
                                           "a string", "an array",  "an object"};
  return kNames[value_.index()];
}

bool Json::as_bool() const {
  if (!is_bool()) throw Error(type_name(), "a boolean", "JSON");
  return std::get<bool>(value_);
}

std::int64_t Json::as_int() const {
  if (!is_int()) throw Error(type_name(), "a whole number", "JSON");
  return std::get<std::int64_t>(value_);
}

double Json::as_double() const {
  if (is_int()) return static_cast<double>(std::get<std::int64_t>(value_));
  if (!is_number()) throw Error(type_name(), "a number", "JSON");
  return std::get<double>(value_);
}

const std::string& Json::as_string() const {
  if (!is_string()) throw Error(type_name(), "a string", "JSON");
  return std::get<std::string>(value_);
}

const Json::Array& Json::as_array() const {
  if (!is_array()) throw Error(type_name(), "an array", "JSON");
  return std::get<Array>(value_);
}

const Json::Object& Json::as_object() const {
  if (!is_object()) throw Error(type_name(), "an object", "JSON");
  return std::get<Object>(value_);
}

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, element] : as_object())
    if (name == key) return &element;
  return nullptr;
}

const Json& Json::at(std::string_view key) const {
  const Json* element = find(key);
  if (!element) throw Error("no key \"" + std::string(key) + "\"", "one", "JSON object");
  return *element;
}

Json& Json::operator[](const std::string& key) {
  if (is_null()) value_ = Object{};
  as_object();
  auto& elements = std::get<Object>(value_);
  for (auto& [name, element] : elements)
    if (name == key) return element;
  return elements.emplace_back(key, Json()).second;
}

void Json::push_back(Json element) {
  if (is_null()) value_ = Array{};
  as_array();
  std::get<Array>(value_).push_back(std::move(element));
}

void Json::print(std::string& out, int indent, int level) const {
  if (is_null()) {
    out += "null";
  } else if (is_bool()) {
    out += as_bool() ? "true" : "false";
  } else if (is_int()) {
    out += std::to_string(as_int());
  } else if (is_number()) {
    print_number(out, as_double());
  } else if (is_string()) {
    print_string(out, as_string());
  } else if (is_array()) {
    out += '[';
    bool first = true;
    for (const Json& element : as_array()) {
      if (!std::exchange(first, false)) out += indent ? "," : ", ";
      new_line(out, indent, level + 1);
      element.print(out, indent, level + 1);
    }
    if (!first) new_line(out, indent, level);
    out += ']';
  } else {
    out += '{';
    bool first = true;
    for (const auto& [key, element] : as_object()) {
      if (!std::exchange(first, false)) out += indent ? "," : ", ";
      new_line(out, indent, level + 1);
      print_string(out, key);
      out += ": ";
      element.print(out, indent, level + 1);
    }
    if (!first) new_line(out, indent, level);
    out += '}';
  }
}

std::string Json::dump(int indent) const {
  std::string out;
  print(out, indent, 0);
  return out;
}

}  // namespace halftone
