// fuse(): puts the blocks of this folder into a network that was written with LibTorch's modules.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// What fuse() did.
struct HALFTONE_API FusionReport {
  struct Entry {
    std::string name;  // "features.1": as in named_modules()
    std::string text;  // what it is now, or why it was left alone
  };
  std::vector<Entry> fused, left_alone;

  // One line for each entry.
  std::string str() const;
};

// Replaces, in every torch::nn::Sequential of the tree (also `module` itself; also classes derived
// from it, which LibTorch asks for where one lies in another),
//   BatchNorm2d, ReLU  by  nn::BatchNormReLU, Identity
//   Linear, GELU       by  nn::LinearGelu, Identity
//   Conv2d, Linear, LayerNorm, MaxPool2d  by the layers of nn/layers.h
//   a residual block of one's own  by the same with BatchNormReLU and BatchNormAddReLU
// so that the names of modules, parameters and buffers stay, and their tensors are the same
// objects: an optimizer made before goes on. Results are those of the modules replaced, with the
// rounding between normalisation and ReLU left out in half; LayerNorm's stay half under Autocast.
//
// A residual block is a module whose children are two or three Conv2d with as many BatchNorm2d, any
// ReLU and at most one Sequential (the shortcut). Nobody can read its forward(), so it is tried: it
// must give, bit for bit, what relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)) gives on random
// images, in training and evaluation, gradients and statistics too (a few milliseconds a block;
// nothing is left changed). Otherwise it stays, and the report says so.
//
// A module of another class holds its layers in members of their types, which nobody can replace
// from outside: they are left alone, as are layers of classes derived from LibTorch's; use the
// blocks there (nn::ConvBnReLU, nn::BatchNormAddReLU, …). Idempotent. at<T>() and get<T>() of a
// replaced element ask for the new class. Not while another thread runs the network.
HALFTONE_API FusionReport fuse(torch::nn::Module& module);

}  // namespace halftone
