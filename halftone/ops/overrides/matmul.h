// Matrices of tensors as the product kernel takes them.
#pragma once

#include <ATen/core/Tensor.h>

#include "halftone/kernels/product/product.h"

namespace halftone::ops {

// A two-dimensional tensor whose rows or columns are contiguous.
struct MatrixOperand {
  at::Tensor tensor;  // keeps a copy alive where one had to be made
  kernels::MatrixRows rows;
  bool by_columns = false;  // `rows` runs over the tensor's columns
};

MatrixOperand matrix_operand(const at::Tensor& tensor);

// C = alpha * A * B + beta * D into `out`, whose rows are contiguous: [m, k], [k, n], [m, n]; `add`
// (D) of the sizes of `out`, undefined: none. All of one half format.
void multiply_into(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                   const at::Tensor& add, float alpha, float beta);

}  // namespace halftone::ops
