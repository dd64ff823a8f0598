// TOML (toml.io/en/v1.0.0) for policies and configurations: a small document value whose getters
// say where they were read, a strict reader of a subset, a writer. No date, no multi-line string,
// no hexadecimal, octal or binary integer, at most 32 values and 16 key parts deep.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "halftone/base/export.h"

namespace halftone::toml {

// One value of a document: a string, an integer, a number, a boolean, an array or a table. Getters
// of another type throw UsageError "<file>:<line>: <key> = <value>; expected a string".
class HALFTONE_API Value {
 public:
  using Array = std::vector<Value>;
  using Table = std::vector<std::pair<std::string, Value>>;  // in the order of the file

  Value();  // an empty table
  Value(std::string text);
  Value(const char* text);
  Value(std::int64_t integer);
  Value(int integer);
  Value(double number);
  Value(bool boolean);
  Value(Array values);

  // "config.toml:12", where it was read; "" for one that was built.
  std::string where() const;
  int line() const { return line_; }
  // "loss_scale.init", "modules[0].match"; "" for the document itself.
  const std::string& path() const { return path_; }

  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_number() const { return std::holds_alternative<double>(data_); }
  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_table() const { return std::holds_alternative<Table>(data_); }

  const std::string& as_string() const;
  std::int64_t as_integer() const;
  double as_number() const;  // of an integer, too
  bool as_boolean() const;
  const Array& as_array() const;
  const Table& as_table() const;

  // The value of a table's key; null, or an Error that names the key, where there is none.
  const Value* find(std::string_view key) const;
  const Value& at(std::string_view key) const;
  // Throws UsageError with the line and the nearest name for the first key that is not `known`.
  void check_keys(const std::vector<std::string>& known) const;
  // Throws UsageError: this value was given where `expected` was wanted.
  [[noreturn]] void refuse(const std::string& expected) const;

  // For writing: adds a key or replaces its value, and returns the value.
  Value& set(const std::string& key, Value value);
  // For writing: stands behind the value, or before the table; on one line.
  Value& comment(std::string text);
  const std::string& comment() const { return comment_; }

 private:
  friend class Reader;
  // What made a table or an array, which decides who may add to it.
  enum class Origin : std::uint8_t { built, super_table, header, dotted_key, literal };

  std::variant<std::string, std::int64_t, double, bool, Array, Table> data_;
  std::shared_ptr<const std::string> file_;
  std::string path_, comment_;
  int line_ = 0;
  Origin origin_ = Origin::built;
};

// The document as a table. where: the file's name, for messages. Throws UsageError
// "<where>:<line>: …" for the first mistake, duplicate keys and invalid UTF-8 included.
HALFTONE_API Value parse(std::string_view text, const std::string& where);

// The table as a document that parse() reads back the same (comments apart): plain values first,
// then tables under their headers.
HALFTONE_API std::string write(const Value& table);

// One value or key as it stands in a document, on one line.
HALFTONE_API std::string write_inline(const Value& value);
HALFTONE_API std::string write_key(std::string_view key);

}  // namespace halftone::toml
