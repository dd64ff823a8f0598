// Small networks, each with one planted fault, and what the report must say of it.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <string>
#include <vector>

#include "halftone/nn/batch_norm.h"

namespace halftone::faults {

// Layers for the cases to plant something between.
struct Net : torch::nn::Module {
  Net();
  torch::nn::Linear first{nullptr}, last{nullptr};
  torch::nn::Conv2d conv{nullptr};
  nn::BatchNormReLU norm{nullptr};
  at::Tensor gain;
};

struct Case {
  std::string what;                                                  // operation, pass, kind
  std::function<at::Tensor(Net& net, const at::Tensor& x)> forward;  // x: (6, 8)
  std::string name;                                                  // exactly, in the report
  std::string hint;  // part of one of the hints; empty: none is asked for
  std::string policy = "fp32";
  double scale = 1;                                               // of the loss
  std::string underflow = {};                                     // exactly
  std::function<at::Tensor(const at::Tensor& output)> loss = {};  // empty: the mean magnitude
};

const std::vector<Case>& cases();

}  // namespace halftone::faults
