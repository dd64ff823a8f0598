#include "halftone/scaling/loss_scale.h"

#include <algorithm>
#include <limits>
#include <string>

#include "halftone/base/error.h"
#include "halftone/base/log.h"
#include "halftone/base/text.h"
#include "halftone/ops/state_reader.h"

namespace halftone {
namespace {

constexpr double kFp32Max = std::numeric_limits<float>::max();
// The reciprocal of anything smaller is no finite fp32 number.
constexpr double kSmallestScale = 0x1p-126;
// Python keeps the growth tracker in 32 bits.
constexpr std::int64_t kLongestInterval = std::numeric_limits<std::int32_t>::max();

const char* kind_name(LossScaling kind) {
  if (kind == LossScaling::none) return "none";
  return kind == LossScaling::fixed ? "fixed" : "dynamic";
}

LossScalePolicy checked(const LossScalePolicy& policy) {
  Policy whole;
  whole.loss_scale = policy;
  whole.check();
  for (const auto& [key, scale] : {std::pair{"init", policy.init}, {"min", policy.min}}) {
    if (scale < kSmallestScale) {
      throw UsageError(format_number(scale), "at least 2^-126, so that its reciprocal is finite",
                       std::string("loss_scale.") + key);
    }
  }
  if (policy.growth_interval > kLongestInterval) {
    throw UsageError(std::to_string(policy.growth_interval),
                     "at most " + std::to_string(kLongestInterval), "loss_scale.growth_interval");
  }
  return policy;
}

std::int64_t counter(std::int64_t value, const char* key) {
  if (value < 0) {
    throw Error(std::to_string(value), "0 or more", std::string("grad_scaler.") + key);
  }
  return value;
}

}  // namespace

LossScale::LossScale(const LossScalePolicy& policy)
    : policy_(checked(policy)),
      value_(policy.kind == LossScaling::none ? 1.0f : static_cast<float>(policy.init)),
      overflows_left_(policy.hysteresis) {}

void LossScale::update(bool overflow) {
  if (policy_.kind != LossScaling::dynamic) return;
  if (overflow) {
    fall();
  } else if (++growth_tracker_ >= policy_.growth_interval) {
    grow();
  }
}

void LossScale::fall() {
  growth_tracker_ = 0;
  if (overflows_left_ > 0) --overflows_left_;
  if (overflows_left_ > 0) return;
  value_ = static_cast<float>(std::max(value_ * policy_.backoff_factor, policy_.min));
}

void LossScale::grow() {
  growth_tracker_ = 0;
  overflows_left_ = policy_.hysteresis;
  const double grown = value_ * policy_.growth_factor;
  // Like torch.amp: growth past fp32 does not happen at all; growth past the ceiling ends there.
  if (grown <= kFp32Max) value_ = static_cast<float>(std::min(grown, policy_.max));
}

void LossScale::save(StateDict& state) const {
  const bool moves = policy_.kind == LossScaling::dynamic;
  state.insert("scale", value());
  state.insert("growth_factor", moves ? policy_.growth_factor : 1.0);
  state.insert("backoff_factor", moves ? policy_.backoff_factor : 1.0);
  state.insert("growth_interval", policy_.growth_interval);
  state.insert("_growth_tracker", growth_tracker_);
  state.insert("kind", std::string(kind_name(policy_.kind)));
  state.insert("min", policy_.min);
  state.insert("max", policy_.max);
  state.insert("hysteresis", policy_.hysteresis);
  state.insert("_overflows_left", overflows_left_);
}

LossScale LossScale::loaded(StateReader& state) const {
  LossScalePolicy policy = policy_;
  const std::string kind = state.has("kind") ? state.text("kind") : kind_name(policy.kind);
  if (kind != kind_name(policy.kind)) {
    throw Error("loss scaling '" + kind + "'", std::string("'") + kind_name(policy.kind) + "'",
                "grad_scaler.kind");
  }
  const double saved = state.number("scale");
  const double growth_factor = state.number("growth_factor");
  const double backoff_factor = state.number("backoff_factor");
  if (policy.kind == LossScaling::dynamic) {
    policy.growth_factor = growth_factor;
    policy.backoff_factor = backoff_factor;
  }
  policy.growth_interval = state.integer("growth_interval");
  if (state.has("min")) policy.min = state.number("min");
  if (state.has("max")) policy.max = state.number("max");
  if (state.has("hysteresis")) policy.hysteresis = state.integer("hysteresis");

  // NaN and what is not positive are left for the check to name.
  policy.init = saved > 0 ? std::max(std::min(saved, policy.max), policy.min) : saved;
  LossScale result(policy);
  result.growth_tracker_ = counter(state.integer("_growth_tracker"), "_growth_tracker");
  if (state.has("_overflows_left")) {
    result.overflows_left_ = counter(state.integer("_overflows_left"), "_overflows_left");
  }
  result.policy_.init = policy_.init;
  if (policy.init != saved) {
    warn("the loaded loss scale " + format_number(saved) + " is outside of " +
         format_number(policy.min) + " to " + format_number(policy.max) + "; " +
         format_number(policy.init) + " is taken");
  }
  return result;
}

}  // namespace halftone
