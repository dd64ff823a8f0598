#include "halftone/base/toml.h"

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::toml {
namespace {

constexpr std::size_t kLongestShown = 60;

// On one line, cut where it is long.
std::string shown(const Value& value) {
  if (value.is_table()) return "a table";
  if (value.is_array()) return "an array";
  if (value.is_string()) return quote(value.as_string());
  return write_inline(value).substr(0, kLongestShown);
}

}  // namespace

Value::Value() : data_(Table()) {}
Value::Value(std::string text) : data_(std::move(text)) {}
Value::Value(const char* text) : data_(std::string(text)) {}
Value::Value(std::int64_t integer) : data_(integer) {}
Value::Value(int integer) : data_(static_cast<std::int64_t>(integer)) {}
Value::Value(double number) : data_(number) {}
Value::Value(bool boolean) : data_(boolean) {}
Value::Value(Array values) : data_(std::move(values)) {}

std::string Value::where() const {
  return file_ ? *file_ + ":" + std::to_string(line_) : std::string();
}

void Value::refuse(const std::string& expected) const {
  throw UsageError(path_.empty() ? shown(*this) : path_ + " = " + shown(*this), expected, where());
}

const std::string& Value::as_string() const {
  if (!is_string()) refuse("a string");
  return std::get<std::string>(data_);
}

std::int64_t Value::as_integer() const {
  if (!is_integer()) refuse("a whole number");
  return std::get<std::int64_t>(data_);
}

double Value::as_number() const {
  if (is_integer()) return static_cast<double>(std::get<std::int64_t>(data_));
  if (!is_number()) refuse("a number");
  return std::get<double>(data_);
}

bool Value::as_boolean() const {
  if (!is_boolean()) refuse("true or false");
  return std::get<bool>(data_);
}

const Value::Array& Value::as_array() const {
  if (!is_array()) refuse("an array");
  return std::get<Array>(data_);
}

const Value::Table& Value::as_table() const {
  if (!is_table()) refuse("a table");
  return std::get<Table>(data_);
}

const Value* Value::find(std::string_view key) const {
  for (const auto& [name, value] : as_table()) {
    if (name == key) return &value;
  }
  return nullptr;
}

const Value& Value::at(std::string_view key) const {
  if (const Value* value = find(key)) return *value;
  const std::string name = path_.empty() ? write_key(key) : path_ + "." + write_key(key);
  throw UsageError("no key " + name, "a value for it", where());
}

void Value::check_keys(const std::vector<std::string>& known) const {
  for (const auto& [name, value] : as_table()) {
    bool found = false;
    for (const std::string& key : known) found |= key == name;
    if (!found) {
      throw UsageError("unknown key " + quote(name), choices(name, known), value.where());
    }
  }
}

Value& Value::set(const std::string& key, Value value) {
  as_table();
  auto& table = std::get<Table>(data_);
  for (auto& [name, present] : table) {
    if (name == key) return present = std::move(value);
  }
  return table.emplace_back(key, std::move(value)).second;
}

Value& Value::comment(std::string text) {
  comment_ = std::move(text);
  return *this;
}

}  // namespace halftone::toml
