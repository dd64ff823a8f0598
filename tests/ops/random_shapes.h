// Operations on random half tensors of random shapes and layouts, through LibTorch's dispatcher as
// a user calls them, against the same in fp64 on the same values: result and gradients, on every
// rung of the machine.
//
// HALFTONE_RANDOM_SHAPES=10000 sets the number of cases of each operation (`make test-all` does);
// HALFTONE_RANDOM_CASE=N runs case N alone, as a failure names it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "halftone/kernels/ladder.h"

namespace halftone {

// The same draws on every machine.
class ShapeDraws {
 public:
  ShapeDraws(std::uint64_t seed, at::ScalarType type) : engine_(seed), type_(type) {}

  at::ScalarType type() const { return type_; }
  std::int64_t between(std::int64_t low, std::int64_t high) {  // both included
    return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return between(0, 99) < percent; }
  // Mostly small, at times beyond the width of a register or a tile.
  std::int64_t channels() { return chance(20) ? between(30, 70) : between(1, 20); }
  std::int64_t batch() { return chance(3) ? 0 : between(1, 4); }

  // N(0, 1) of the drawn format in a random layout: dense, channels_last, transposed, every other
  // element of more, or beginning off alignment.
  at::Tensor operand(at::IntArrayRef sizes);
  // A dense vector of that format or, at times, of fp32.
  at::Tensor parameter(std::int64_t length, bool in_fp32);

 private:
  std::mt19937_64 engine_;
  at::ScalarType type_;
};

struct ShapeCase {
  std::vector<at::Tensor> inputs;  // each gets a gradient
  std::function<at::Tensor(const std::vector<at::Tensor>& inputs)> run;
  std::string text = "";  // what the sizes do not say
};

struct ShapeCheck {
  const char* operation;
  std::vector<const kernels::LadderBase*> ladders;  // each must run on each rung it has
  // The roundings to half that results and gradients may have behind them.
  double roundings = 1;
  bool sums_rounded_terms = false;  // terms that are rounded to half and may cancel
};

void check_random_shapes(const ShapeCheck& check,
                         const std::function<ShapeCase(ShapeDraws&)>& make);

}  // namespace halftone
