// What the tests against Python's goldens share: the same weights as tests/goldens/models.py fills
// in.
#pragma once

#include <torch/torch.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "tests/support/test.h"
#include "tests/support/tolerances.h"

namespace halftone::models::golden {

// As unit() in models.py.
inline at::Tensor unit(std::int64_t count, const std::string& name) {
  std::uint32_t key = 2166136261u;
  for (const unsigned char byte : name) key = (key ^ byte) * 16777619u;
  auto result = torch::empty({count}, torch::kDouble);
  auto* out = result.data_ptr<double>();
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint32_t h = static_cast<std::uint32_t>(i) * 2654435761u + key;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    h *= 3266489917u;
    h ^= h >> 16;
    out[i] = static_cast<double>(h >> 8) / 0x1p23 - 1;
  }
  return result;
}

// As fill() in models.py.
inline at::Tensor fill(const std::string& name, at::IntArrayRef shape) {
  auto values = unit(c10::multiply_integers(shape), name);
  if (shape.size() >= 2) {
    values.mul_(std::sqrt(6.0 / static_cast<double>(c10::multiply_integers(shape.slice(1)))));
  } else if (name.ends_with("weight")) {
    values = values * 0.25 + 1;
  } else {
    values.mul_(0.1);
  }
  return values.to(torch::kFloat).reshape(shape);
}

inline void fill_parameters(torch::nn::Module& module) {
  torch::NoGradGuard no_grad;
  for (auto& item : module.named_parameters()) {
    item.value().copy_(fill(item.key(), item.value().sizes()));
  }
}

inline at::Tensor numbers(const Json& array) {
  std::vector<double> values;
  for (const auto& value : array.as_array()) values.push_back(value.as_double());
  return torch::tensor(values, torch::kDouble);
}

// The largest difference, relative to the largest value.
inline double difference(const at::Tensor& given, const at::Tensor& expected) {
  const auto error = (given.detach().to(torch::kDouble).flatten() - expected).abs().max();
  return (error / expected.abs().max()).item<double>();
}

inline void check_gradients(const torch::nn::Module& network, const Json& golden) {
  const auto& expected = golden.at("gradients");
  std::size_t seen = 0;
  for (const auto& item : network.named_parameters()) {
    if (!item.value().requires_grad()) continue;
    const auto* pair = expected.find(item.key());
    ASSERT_NE(pair, nullptr) << item.key();
    const auto gradient = item.value().grad().contiguous().flatten();
    const double norm = pair->as_array()[0].as_double();
    const double dot = (gradient * unit(gradient.numel(), "probe")).sum().item<double>();
    const double near = tolerance::kFp64Network * norm + tolerance::kFp64Zero;
    EXPECT_NEAR(gradient.norm().item<double>(), norm, near) << item.key();
    EXPECT_NEAR(dot, pair->as_array()[1].as_double(), near) << item.key();
    ++seen;
  }
  EXPECT_EQ(seen, expected.as_object().size());
}

// The array in tests/goldens/NAME.
inline Json read(const std::string& name) {
  return Json::parse(read_file(HALFTONE_SOURCE_DIR "/tests/goldens/" + name), name);
}

}  // namespace halftone::models::golden
