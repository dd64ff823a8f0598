// Named tolerances of the tests, each with its derivation.
#pragma once

namespace halftone::tolerance {

// Unit roundoff u: half the distance from 1 to the next number.
constexpr double kFp32Unit = 0x1p-24;
constexpr double kFp16Unit = 0x1p-11;
constexpr double kBf16Unit = 0x1p-8;

// fp32 against fp64 on sums of up to some hundred terms: about sqrt(n) * u, with a factor of ten.
constexpr double kFp32 = 1e-5;

// fp16 operands, fp32 accumulation, fp16 result: input and output rounding, 3 u, rounded up.
constexpr double kFp16 = 2e-3;

// bf16 operands, fp32 accumulation, bf16 result: 3 u, rounded down to what is seen.
constexpr double kBf16 = 1e-2;

// An optimizer's 200 steps in fp32 against Python PyTorch: each step adds about u relative, the
// order of operations differs; 200 * u = 1.2e-5 at worst, sqrt(200) * u = 8.4e-7 on average.
constexpr double kTrajectory = 1e-6;

// A network's loss, logits and gradients in fp64 against another fp64 implementation: u = 2^-53
// grown by some 50 layers with normalisation (each may multiply it by up to 10^3 on nearly equal
// values); goldens are stored with 12 digits.
constexpr double kFp64Network = 1e-9;

// What is zero in exact arithmetic (the gradient of a bias that a softmax takes out), summed in
// fp64 from some hundred terms of up to ten: 100 * 10 * 2^-53, rounded up.
constexpr double kFp64Zero = 1e-12;

// A network's logits in fp32 against fp64: as kFp32 for each of up to 53 layers, sqrt(53) * 1e-5,
// times ten for normalisation over as few as four values.
constexpr double kFp32Network = 1e-3;

// A small transformer's logits in half against fp64, the largest difference over the largest value:
// two layers of six roundings (two norms' outputs, qkv, attention, GELU, the sum), each u of its
// own size, added as if independent and three deviations out: 3 * sqrt(12) * u = 10 u.
constexpr double kFp16Network = 10 * kFp16Unit;
constexpr double kBf16Network = 10 * kBf16Unit;

// Relative root mean square of a product's error against fp64 on the same halves. The output's
// rounding: uniform within half a unit, u / sqrt(3) for fractions of 1 and half that for fractions
// of 2, 0.41 u on average = 2.0e-4 (fp16) and 1.6e-3 (bf16); in fp32 the accumulation over blocks,
// about 2^-24 * sqrt(blocks). Rounded up to what issue and literature ask of mixed precision.
constexpr double kProductFp16 = 3e-4;
constexpr double kProductBf16 = 2e-3;
constexpr double kProductFp32 = 1e-6;
// Sums of up to 64 products in fp16, each addition rounded: u * sqrt(64 / 6) of the sum's typical
// size = 1.6e-3 / sqrt(2), and the output's rounding; measured 1.2e-3.
constexpr double kProductAvx512Fp16 = 1.3e-3;
// fp16 as two bf16 without the product of the lower halves: 2^-18 of a product at most.
constexpr double kProductSplit = 1e-5;

// Attention, in units of kProduct* of its format. The output: P's rounding and its own, both of the
// size that kProduct* allows for one: sqrt(2) of it. Gradients: the roundings of P or dS, of their
// own and of the output that D is taken from, sqrt(3), measured against the terms before they
// cancel.
constexpr double kAttention = 1.5;
constexpr double kAttentionGradient = 1.8;
// The output where products are summed in fp16: the scores' error, too, is of that size, sqrt(3).
constexpr double kAttentionAvx512Fp16 = 1.8;

// One step of an environment in fp64 from a given state against Gymnasium's: some 40 operations,
// and numpy's pow and a library's sine may round otherwise by 2^-52; accelerations near 10^3 at the
// highest speeds cancel to 1 in the worst case: 2^-52 * 10^3, halved by what was seen.
constexpr double kEnvironmentStep = 1e-13;

// A Frechet distance in fp64, relative to the covariance's trace: an eigenvalue of the product
// that is 0 comes out as some 10 * 2^-52 of the largest, and its root, 5e-8, is added for each of
// up to twelve; scipy's root has the same.
constexpr double kFrechet = 1e-6;

// A resized picture in fp32 against Pillow's, in levels of 0 to 255: Pillow rounds to whole levels
// after the rows and after the columns, half a level each; its weights have 22 bits.
constexpr double kPillowResize = 1.01;
// How far a network in half leaves fp32's course, in units of how far fp32 does whose first weights
// are rounded as coarsely (the furthest of three): weights, outputs and gradients are rounded where
// the unit has rounded weights, sqrt(3), rounded up. Measured: 0.1 to 1.2; a layer whose weight
// gradient is 0.7 of what it should be: 2.5 in bf16, 25 in fp16.
constexpr double kTrainingApart = 2;

}  // namespace halftone::tolerance
