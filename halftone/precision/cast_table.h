// Which format each operation computes in under Autocast: data, the same on CPU and CUDA.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// What Autocast does with the floating-point arguments of an operation (fp64 is never touched).
enum class Cast {
  lower,       // cast to the policy's compute format: matmuls, convolutions, recurrent layers
  fp32,        // cast to fp32: sums of many terms, powers and exponentials, losses
  fp32_loss,   // as fp32, except that ops/cross_entropy.h takes what it serves uncast
  fp32_dtype,  // asked for an fp32 result by its own argument `dtype`, unless the caller set it
  widest,      // cast to the widest format among the arguments
  as_is,       // not cast; named so that a policy's exceptions can reach it
  stock,       // left to LibTorch's own wrapper, which does more than cast
};

enum class CastDevices { both, cpu, cuda };

struct CastRow {
  std::string operation;  // "conv2d", "sum.dim_IntList": the aten operation and its overload
  Cast cast;
  CastDevices devices;
};

// The whole table; rows whose operation this LibTorch lacks are skipped where it is applied.
// Sources: the lists of LibTorch's autocast for CUDA and CPU (ATen/autocast_mode.h), united; where
// they disagree the safer one. Beyond them: lstm, gru and rnn_* as a whole on CPU (LibTorch's own
// way fails in fp16 training), and the rows that are cast only where a policy names them.
HALFTONE_API const std::vector<CastRow>& cast_table();

// "sum" for "sum.dim_IntList": what a policy's globs match.
HALFTONE_API std::string operation_name(const CastRow& row);

// Whether a row of that operation_name() is cast to the policy's compute format.
HALFTONE_API bool is_lowered(const std::string& operation);

}  // namespace halftone
