// The structure of a TOML document: which table a key belongs to, and who may add to a table. Each
// rule is that of toml.io/en/v1.0.0, "Keys", "Table", "Inline Table", "Array of Tables".
#include "halftone/base/toml.h"
#include "halftone/base/toml_scanner.h"

namespace halftone::toml {

class Reader {
 public:
  Reader(std::string_view text, const std::string& file)
      : file_(std::make_shared<const std::string>(file)), scanner_(text, *file_) {
    stamp(root_, "", Origin::header);
  }

  Value document() {
    Value* table = &root_;
    for (scanner_.skip_lines(); !scanner_.at_end(); scanner_.skip_lines()) {
      if (scanner_.peek() == '[') {
        table = &header();
      } else {
        key_value(*table, 0);
      }
      scanner_.end_of_line();
    }
    return std::move(root_);
  }

 private:
  using Origin = Value::Origin;
  using Key = std::vector<std::string>;
  static constexpr int kDeepest = 32;

  void stamp(Value& value, std::string path, Origin origin) const {
    value.file_ = file_;
    value.line_ = scanner_.line();
    value.path_ = std::move(path);
    value.origin_ = origin;
  }

  static std::string below(const Value& table, const std::string& key) {
    return table.path_.empty() ? write_key(key) : table.path_ + "." + write_key(key);
  }

  static Value* find(Value& table, const std::string& key) {
    return const_cast<Value*>(table.find(key));
  }

  Value& add(Value& table, const std::string& key, Value value, Origin origin) const {
    stamp(value, below(table, key), origin);
    return table.set(key, std::move(value));
  }

  [[noreturn]] void defined_twice(const Value& present, const char* what = "the key ") const {
    scanner_.fail(what + present.path_ + " a second time",
                  "each key once (it stands in line " + std::to_string(present.line_) + ")");
  }

  Value& append_table(Value& array) const {
    auto& tables = std::get<Value::Array>(array.data_);
    Value table;
    stamp(table, array.path_ + "[" + std::to_string(tables.size()) + "]", Origin::header);
    return tables.emplace_back(std::move(table));
  }

  // The table that a header's key part names on the way to its last one.
  Value& pass_through(Value& table, const std::string& key) const {
    Value* next = find(table, key);
    if (!next) return add(table, key, Value(), Origin::super_table);
    if (next->origin_ == Origin::literal) defined_twice(*next);
    return next->is_array() ? std::get<Value::Array>(next->data_).back() : *next;
  }

  Value& header() {
    scanner_.take('[');
    const bool of_array = scanner_.take('[');
    const Key key = scanner_.key();
    if (of_array ? !scanner_.take("]]") : !scanner_.take(']')) {
      scanner_.expected(of_array ? "]]" : "]");
    }
    Value* table = &root_;
    for (std::size_t i = 0; i + 1 < key.size(); ++i) table = &pass_through(*table, key[i]);
    return of_array ? array_element(*table, key.back()) : section(*table, key.back());
  }

  Value& section(Value& parent, const std::string& key) const {
    Value* present = find(parent, key);
    if (!present) return add(parent, key, Value(), Origin::header);
    if (present->origin_ != Origin::super_table) defined_twice(*present, "the header's key ");
    present->origin_ = Origin::header;
    present->line_ = scanner_.line();
    return *present;
  }

  Value& array_element(Value& parent, const std::string& key) const {
    Value* present = find(parent, key);
    if (!present) return append_table(add(parent, key, Value::Array(), Origin::header));
    if (!present->is_array() || present->origin_ == Origin::literal) defined_twice(*present);
    return append_table(*present);
  }

  void key_value(Value& table, int depth) {
    const Key key = scanner_.key();
    Value* owner = &table;
    for (std::size_t i = 0; i + 1 < key.size(); ++i) {
      Value* next = find(*owner, key[i]);
      if (next && next->origin_ == Origin::super_table) next->origin_ = Origin::dotted_key;
      if (next && next->origin_ != Origin::dotted_key) defined_twice(*next);
      owner = next ? next : &add(*owner, key[i], Value(), Origin::dotted_key);
    }
    if (const Value* present = find(*owner, key.back())) defined_twice(*present);
    if (!scanner_.take('=')) scanner_.expected("= or . behind the key");
    scanner_.skip_spaces();
    owner->set(key.back(), value(below(*owner, key.back()), depth));
  }

  Value value(const std::string& path, int depth) {
    if (depth == kDeepest) scanner_.unsupported("values nested deeper than 32");
    if (scanner_.peek() == '[') return array(path, depth);
    if (scanner_.peek() == '{') return inline_table(path, depth);
    Value value;
    stamp(value, path, Origin::literal);
    std::visit([&](auto&& scalar) { value.data_ = std::move(scalar); }, scanner_.scalar());
    return value;
  }

  Value array(const std::string& path, int depth) {
    Value array{Value::Array()};
    stamp(array, path, Origin::literal);
    auto& values = std::get<Value::Array>(array.data_);
    scanner_.take('[');
    for (scanner_.skip_lines(); !scanner_.take(']'); scanner_.skip_lines()) {
      values.push_back(value(path + "[" + std::to_string(values.size()) + "]", depth + 1));
      scanner_.skip_lines();
      if (!scanner_.take(',') && scanner_.peek() != ']') scanner_.expected(", or ] in the array");
    }
    return array;
  }

  Value inline_table(const std::string& path, int depth) {
    Value table;
    stamp(table, path, Origin::literal);
    scanner_.take('{');
    scanner_.skip_spaces();
    if (scanner_.take('}')) return table;
    do {
      key_value(table, depth + 1);
      scanner_.skip_spaces();
    } while (scanner_.take(','));
    if (!scanner_.take('}')) scanner_.expected(", or } in the table");
    return table;
  }

  std::shared_ptr<const std::string> file_;
  Scanner scanner_;
  Value root_;
};

Value parse(std::string_view text, const std::string& where) {
  return Reader(text, where).document();
}

}  // namespace halftone::toml
