// A small JSON value (RFC 8259): parse with the offset of an error, print with stable order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// A value: null, true/false, a whole number, a number, a string, an array or an object. An object
// keeps the order in which its keys were set. Not thread-safe.
class HALFTONE_API Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;  // null
  Json(std::nullptr_t) {}
  Json(bool value) : value_(value) {}
  Json(int value) : value_(static_cast<std::int64_t>(value)) {}
  Json(std::int64_t value) : value_(value) {}
  Json(double value) : value_(value) {}  // prints as null where it is not finite
  Json(const char* value) : value_(std::string(value)) {}
  Json(std::string value) : value_(std::move(value)) {}
  Json(Array value) : value_(std::move(value)) {}
  Json(Object value) : value_(std::move(value)) {}
  static Json array() { return Json(Array{}); }
  static Json object() { return Json(Object{}); }

  // The one value that `text` holds. Throws Error with the offset of what is wrong; where: named in
  // the message. Refuses doubled keys, nesting deeper than 128 and anything after the value.
  static Json parse(std::string_view text, const std::string& where = "JSON");

  // indent 0: one line. Otherwise that many spaces per level. Numbers print so that they read back
  // the same.
  std::string dump(int indent = 0) const;

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_int() const { return std::holds_alternative<std::int64_t>(value_); }
  bool is_number() const { return is_int() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // What the value holds; throws Error that names both types where it is another.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;  // whole numbers too
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;

  // The element of that key. find: null pointer where there is none; at: throws Error.
  const Json* find(std::string_view key) const;
  const Json& at(std::string_view key) const;
  // The element of that key, added as null where there is none; a null value becomes an object.
  Json& operator[](const std::string& key);
  // Adds to an array; a null value becomes an array.
  void push_back(Json element);

  bool operator==(const Json&) const = default;

 private:
  const char* type_name() const;
  void print(std::string& out, int indent, int level) const;

  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace halftone
