#include "halftone/ops/state_reader.h"

#include <sstream>
#include <utility>

#include "halftone/base/error.h"

namespace halftone {
namespace {

std::string describe(const at::Tensor& tensor) {
  std::ostringstream text;
  text << "a tensor " << tensor.sizes() << " of " << tensor.scalar_type();
  return text.str();
}

}  // namespace

StateReader::StateReader(const StateDict& state, std::string where)
    : state_(state), where_(std::move(where)) {}

bool StateReader::has(const std::string& key) const { return state_.contains(key); }

c10::IValue StateReader::value(const std::string& key) {
  const auto found = state_.find(key);
  if (found == state_.end()) throw Error("no such key", "a saved value", where_ + "." + key);
  read_.insert(key);
  return found->value();
}

void StateReader::wrong_type(const std::string& key, const char* expected) const {
  throw Error("a value of type " + state_.at(key).tagKind(), expected, where_ + "." + key);
}

std::int64_t StateReader::integer(const std::string& key) {
  const auto given = value(key);
  if (!given.isInt()) wrong_type(key, "an integer");
  return given.toInt();
}

double StateReader::number(const std::string& key) {
  const auto given = value(key);
  if (given.isInt()) return static_cast<double>(given.toInt());
  if (!given.isDouble()) wrong_type(key, "a number");
  return given.toDouble();
}

bool StateReader::boolean(const std::string& key) {
  const auto given = value(key);
  if (!given.isBool()) wrong_type(key, "true or false");
  return given.toBool();
}

std::string StateReader::text(const std::string& key) {
  const auto given = value(key);
  if (!given.isString()) wrong_type(key, "a string");
  return given.toStringRef();
}

std::vector<double> StateReader::numbers(const std::string& key) {
  const auto given = value(key);
  if (given.isDoubleList()) return given.toDoubleVector();
  if (!given.isList()) wrong_type(key, "a list of numbers");
  std::vector<double> result;
  for (const c10::IValue& element : given.toListRef()) {  // what a pickle of a Python list gives
    if (!element.isDouble() && !element.isInt()) wrong_type(key, "a list of numbers");
    result.push_back(element.isInt() ? static_cast<double>(element.toInt()) : element.toDouble());
  }
  return result;
}

at::Tensor StateReader::tensor(const std::string& key) {
  const auto given = value(key);
  if (!given.isTensor()) wrong_type(key, "a tensor");
  return given.toTensor();
}

at::Tensor StateReader::tensor(const std::string& key, const at::Tensor& like) {
  auto given = tensor(key);
  if (given.sizes() != like.sizes() || given.scalar_type() != like.scalar_type()) {
    throw Error(describe(given), describe(like), where_ + "." + key);
  }
  return given;
}

StateDict StateReader::dict(const std::string& key) {
  const auto given = value(key);
  if (!given.isGenericDict()) wrong_type(key, "a dictionary");
  auto result = make_state_dict();
  for (const auto& entry : given.toGenericDict()) {
    if (!entry.key().isString()) wrong_type(key, "a dictionary with string keys");
    result.insert(entry.key().toStringRef(), entry.value());
  }
  return result;
}

void StateReader::finish() const {
  for (const auto& entry : state_) {
    if (!read_.count(entry.key())) {
      throw Error("an unknown key", "only what this version saves", where_ + "." + entry.key());
    }
  }
}

}  // namespace halftone
