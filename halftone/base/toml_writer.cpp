#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/text.h"
#include "halftone/base/toml.h"

namespace halftone::toml {
namespace {

std::string write_string(std::string_view text) { return '"' + escape(text, "\\u00") + '"'; }

// With a point or an exponent, so that it reads back as a number, not as an integer.
std::string write_number(double value) {
  const std::string text = format_number(value);
  const bool plain = text.find_first_not_of("-0123456789") == std::string::npos;
  return plain ? text + ".0" : text;
}

std::string write_array(const Value::Array& values) {
  std::string text;
  for (const Value& value : values) text += (text.empty() ? "" : ", ") + write_inline(value);
  return "[" + text + "]";
}

std::string write_table(const Value::Table& table) {
  std::string text;
  for (const auto& [key, value] : table) {
    text += (text.empty() ? " " : ", ") + write_key(key) + " = " + write_inline(value);
  }
  return table.empty() ? "{}" : "{" + text + " }";
}

// Written under [[headers]].
bool is_array_of_tables(const Value& value) {
  if (!value.is_array() || value.as_array().empty()) return false;
  return std::all_of(value.as_array().begin(), value.as_array().end(),
                     [](const Value& each) { return each.is_table(); });
}

void write_body(const Value& table, const std::string& path, std::string& out);

void write_section(const Value& table, const std::string& header, const std::string& path,
                   std::string& out) {
  if (!out.empty()) out += '\n';
  if (!table.comment().empty()) out += "# " + table.comment() + "\n";
  out += header + "\n";
  write_body(table, path, out);
}

// "key = value" of those that stand before any header.
using Lines = std::vector<std::pair<std::string, const Value*>>;

Lines plain_lines(const Value& table) {
  Lines lines;
  for (const auto& [key, value] : table.as_table()) {
    if (value.is_table() || is_array_of_tables(value)) continue;
    lines.emplace_back(write_key(key) + " = " + write_inline(value), &value);
  }
  return lines;
}

// Comments stand in one column, unless a line is longer than that.
void write_lines(const Lines& lines, std::string& out) {
  constexpr std::size_t kWidest = 40;
  std::size_t column = 0;
  for (const auto& [line, value] : lines) {
    if (!value->comment().empty() && line.size() <= kWidest) column = std::max(column, line.size());
  }
  for (const auto& [line, value] : lines) {
    out += line;
    if (!value->comment().empty()) {
      out += std::string(std::max(column, line.size()) - line.size() + 2, ' ');
      out += "# " + value->comment();
    }
    out += '\n';
  }
}

void write_body(const Value& table, const std::string& path, std::string& out) {
  write_lines(plain_lines(table), out);
  for (const auto& [key, value] : table.as_table()) {
    const std::string below = path.empty() ? write_key(key) : path + "." + write_key(key);
    if (value.is_table()) write_section(value, "[" + below + "]", below, out);
    if (!is_array_of_tables(value)) continue;
    for (const Value& each : value.as_array()) write_section(each, "[[" + below + "]]", below, out);
  }
}

}  // namespace

std::string write_key(std::string_view key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), bare) ? std::string(key)
                                                                   : write_string(key);
}

std::string write_inline(const Value& value) {
  if (value.is_string()) return write_string(value.as_string());
  if (value.is_integer()) return std::to_string(value.as_integer());
  if (value.is_number()) return write_number(value.as_number());
  if (value.is_boolean()) return value.as_boolean() ? "true" : "false";
  return value.is_array() ? write_array(value.as_array()) : write_table(value.as_table());
}

std::string write(const Value& table) {
  std::string out;
  write_body(table, "", out);
  return out;
}

}  // namespace halftone::toml
