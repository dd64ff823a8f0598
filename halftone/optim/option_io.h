// What the options of all optimizers share: checks, and their keys in a state dictionary.
#pragma once

#include <cmath>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/optim/group_options.h"

namespace halftone::optim {

inline void require_option(bool holds, double given, const char* expected, const std::string& where,
                           const char* name) {
  if (!holds) throw UsageError(format_number(given), expected, where + ": " + name);
}

inline void check_common(const CommonOptions& o, const std::string& where) {
  require_option(std::isfinite(o.lr) && o.lr >= 0, o.lr, "a finite number >= 0", where, "lr");
  require_option(std::isfinite(o.weight_decay) && o.weight_decay >= 0, o.weight_decay,
                 "a finite number >= 0", where, "weight_decay");
  if (o.clip_norm) {
    require_option(*o.clip_norm > 0, *o.clip_norm, "a number > 0", where, "clip_norm");
  }
  if (o.clip_value) {
    require_option(*o.clip_value > 0, *o.clip_value, "a number > 0", where, "clip_value");
  }
}

template <class Options>
void check_adaptive(const Options& o, const std::string& where) {
  check_common(GroupOptions<Options>(o).common(), where);
  for (double beta : o.betas) {
    require_option(beta >= 0 && beta < 1, beta, "a number in [0, 1)", where, "betas");
  }
  require_option(std::isfinite(o.eps) && o.eps >= 0, o.eps, "a finite number >= 0", where, "eps");
}

template <class Options>
void write_common(const Options& o, StateDict& dict) {
  dict.insert("lr", o.lr);
  dict.insert("weight_decay", o.weight_decay);
  if (o.clip_norm) dict.insert("clip_norm", *o.clip_norm);
  if (o.clip_value) dict.insert("clip_value", *o.clip_value);
  dict.insert("storage", static_cast<std::int64_t>(o.storage));
  dict.insert("seed", static_cast<std::int64_t>(o.seed));
}

template <class Options>
void read_common(Options& o, StateReader& reader) {
  o.lr = reader.number("lr");
  o.weight_decay = reader.number("weight_decay");
  o.clip_norm = o.clip_value = std::nullopt;
  if (reader.has("clip_norm")) o.clip_norm = reader.number("clip_norm");
  if (reader.has("clip_value")) o.clip_value = reader.number("clip_value");
  const std::int64_t storage = reader.integer("storage");
  if (storage < 0 || storage > static_cast<std::int64_t>(WeightStorage::half_kahan)) {
    throw Error(std::to_string(storage), "0 to 3", "optimizer.storage");
  }
  o.storage = static_cast<WeightStorage>(storage);
  o.seed = static_cast<std::uint64_t>(reader.integer("seed"));
}

template <class Options>
void write_adaptive(const Options& o, StateDict& dict) {
  write_common(o, dict);
  dict.insert("betas", c10::List<double>({o.betas[0], o.betas[1]}));
  dict.insert("eps", o.eps);
}

template <class Options>
void read_adaptive(Options& o, StateReader& reader) {
  read_common(o, reader);
  const auto betas = reader.numbers("betas");
  if (betas.size() != 2) {
    throw Error(std::to_string(betas.size()) + " numbers", "2", "optimizer.betas");
  }
  o.betas = {betas[0], betas[1]};
  o.eps = reader.number("eps");
}

// The concrete options of a group; MasterOptimizer has checked the type.
template <class Options>
const Options& as(const GroupOptionsBase& options) {
  return static_cast<const GroupOptions<Options>&>(options).value;
}

}  // namespace halftone::optim
