// Reads a StateDict strictly: every key present, of the right type, and none unknown.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "halftone/base/export.h"
#include "halftone/ops/state_dict.h"

namespace halftone {

// Read everything into locals, call finish(), then assign: so a state that is wrong changes
// nothing. Every function throws Error "<where>.<key>: <given>; expected <expected>". Not
// thread-safe; `state` must outlive it.
class HALFTONE_API StateReader {
 public:
  // where: what is being restored ("scheduler", "ema"), for messages.
  StateReader(const StateDict& state, std::string where);

  bool has(const std::string& key) const;
  std::int64_t integer(const std::string& key);
  double number(const std::string& key);  // an integer counts as a number
  bool boolean(const std::string& key);
  std::string text(const std::string& key);
  std::vector<double> numbers(const std::string& key);
  at::Tensor tensor(const std::string& key);
  // The tensor of that key, which must have the shape and format of `like`.
  at::Tensor tensor(const std::string& key, const at::Tensor& like);
  StateDict dict(const std::string& key);

  // Throws where a key was given that nobody read.
  void finish() const;

 private:
  c10::IValue value(const std::string& key);
  [[noreturn]] void wrong_type(const std::string& key, const char* expected) const;

  const StateDict& state_;
  std::string where_;
  std::set<std::string> read_;
};

}  // namespace halftone
