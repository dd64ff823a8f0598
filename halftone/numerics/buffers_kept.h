// A scope that leaves a module's buffers (running statistics) as they were.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "halftone/base/export.h"

namespace halftone::numerics {

// Copies values, into the tensors that are there where they fit, else into new ones.
HALFTONE_API void copy_tensors(const std::vector<at::Tensor>& from, std::vector<at::Tensor>& to);

class BuffersKept {
 public:
  explicit BuffersKept(const torch::nn::Module& module) : buffers_(module.buffers()) {
    copy_tensors(buffers_, before_);
  }
  ~BuffersKept() { copy_tensors(before_, buffers_); }
  BuffersKept(const BuffersKept&) = delete;
  BuffersKept& operator=(const BuffersKept&) = delete;

 private:
  std::vector<at::Tensor> buffers_, before_;
};

}  // namespace halftone::numerics
