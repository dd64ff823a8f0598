#include "tests/ops/random_shapes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include "halftone/base/isa.h"
#include "tests/ops/override_support.h"
#include "tests/support/tolerances.h"

namespace halftone {
namespace {

using torch::Tensor;

constexpr std::int64_t kCasesInTheShortRun = 60;
constexpr std::int64_t kEnoughForAnAverage = 512;  // elements that are not 0
constexpr double kTail = 4;                        // deviations that one element in 10^4 may be off

std::int64_t from_environment(const char* name, std::int64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoll(value);
}

double root_mean_square(const Tensor& x) { return std::sqrt(x.square().mean().item<double>()); }

// The result, then the gradients.
std::vector<Tensor> results_of(const ShapeCase& shape, at::ScalarType type,
                               const Tensor& gradient) {
  std::vector<Tensor> leaves;
  for (const Tensor& input : shape.inputs) {
    leaves.push_back((type == at::kDouble ? input.to(type) : input).detach());
    leaves.back().requires_grad_();
  }
  const Tensor y = shape.run(leaves);
  y.backward(gradient.to(type));
  std::vector<Tensor> results{y.detach()};
  for (const Tensor& leaf : leaves) results.push_back(leaf.grad());
  return results;
}

struct Bound {
  double average, element;  // of the exact result's root mean square and of its own
  double floor;
};

// Half an ulp per rounding, of which an average is kProduct*. Sums of terms that cancel are
// off by kFp32 of the terms, which are as many as the operands have elements at most.
Bound bound_of(const ShapeCheck& check, const ShapeCase& shape, at::ScalarType type, Isa rung) {
  const bool fp16 = type == at::kHalf;
  const bool sums_in_fp16 = fp16 && rung == Isa::avx512_fp16;
  std::int64_t terms = 0;
  for (const Tensor& input : shape.inputs) terms += input.numel();
  const double average = sums_in_fp16 ? tolerance::kProductAvx512Fp16
                         : fp16       ? tolerance::kProductFp16
                                      : tolerance::kProductBf16;
  const double unit = (fp16 ? tolerance::kFp16Unit : tolerance::kBf16Unit) * (sums_in_fp16 ? 4 : 1);
  const double of_a_term = check.sums_rounded_terms ? unit : tolerance::kFp32;
  return {check.roundings * average, check.roundings * unit,
          of_a_term * std::sqrt(static_cast<double>(terms) + 1)};
}

// Empty, or what is wrong.
std::string difference_of(const Tensor& own, const Tensor& exact, const Bound& bound) {
  if (own.sizes() != exact.sizes()) return "another shape";
  if (own.numel() == 0) return "";
  const Tensor difference = (own.to(at::kDouble) - exact).abs();
  const double size = root_mean_square(exact), off = root_mean_square(difference);
  const double allowed = exact.count_nonzero().item<std::int64_t>() < kEnoughForAnAverage
                             ? bound.element
                             : bound.average;
  std::ostringstream text;
  if (!(off <= allowed * size + bound.floor)) {
    text << "root mean square off by " << off << " of " << size;
  }
  const Tensor limit = (exact.abs() + kTail * size) * bound.element + bound.floor;
  if (!(difference <= limit).all().item<bool>()) {
    text << " an element off by " << (difference - limit).max().item<double>() << " too much";
  }
  return text.str();
}

std::string describe(const ShapeCase& shape) {
  std::ostringstream text;
  for (const Tensor& input : shape.inputs) {
    text << input.sizes() << " strides " << input.strides() << ", ";
  }
  return text.str() + shape.text;
}

}  // namespace

Tensor ShapeDraws::operand(at::IntArrayRef sizes) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(engine_());
  const auto normal = [&](at::IntArrayRef shape) {
    return at::randn(shape, generator, at::TensorOptions(at::kFloat)).to(type_);
  };
  auto shape = sizes.vec();
  switch (shape.empty() ? -1 : between(0, 5)) {
    case 0:
      if (shape.size() != 4) break;
      return normal(shape).contiguous(at::MemoryFormat::ChannelsLast);
    case 1:
      if (shape.size() < 2) break;
      std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
      return normal(shape).transpose(-1, -2);
    case 2:
      shape.back() *= 2;
      return normal(shape).slice(-1, 0, shape.back(), 2);
    case 3: {
      std::int64_t count = 1;
      for (std::int64_t each : shape) count *= each;
      return normal({count + 1}).slice(0, 1).view(shape);
    }
    default:
      break;
  }
  return normal(shape);
}

Tensor ShapeDraws::parameter(std::int64_t length, bool in_fp32) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(engine_());
  return at::randn({length}, generator, at::TensorOptions(at::kFloat))
      .to(in_fp32 ? at::kFloat : type_);
}

void check_random_shapes(const ShapeCheck& check,
                         const std::function<ShapeCase(ShapeDraws&)>& make) {
  const OverrideTest on;
  const Isa before = isa();
  const auto cases = from_environment("HALFTONE_RANDOM_SHAPES", kCasesInTheShortRun);
  const auto only = from_environment("HALFTONE_RANDOM_CASE", -1);
  std::map<std::pair<std::string, Isa>, std::uint64_t> runs;
  bool good = true;
  for (std::int64_t i = std::max<std::int64_t>(only, 0); i < (only < 0 ? cases : only + 1); ++i) {
    ShapeDraws draws(static_cast<std::uint64_t>(i), i % 2 == 0 ? at::kHalf : at::kBFloat16);
    const ShapeCase shape = make(draws);
    const Tensor gradient = [&] {
      const at::NoGradGuard no_grad;
      return draws.operand(shape.run(shape.inputs).sizes());
    }();
    const auto exact = results_of(shape, at::kDouble, gradient);
    for (Isa rung : machine_isas()) {
      set_isa(rung);
      std::vector<std::uint64_t> counts;
      for (const auto* ladder : check.ladders) counts.push_back(ladder->runs(rung));
      const auto own = results_of(shape, draws.type(), gradient);
      for (std::size_t k = 0; k < counts.size(); ++k) {
        runs[{check.ladders[k]->operation(), rung}] += check.ladders[k]->runs(rung) - counts[k];
      }
      const Bound bound = bound_of(check, shape, draws.type(), rung);
      for (std::size_t k = 0; k < own.size(); ++k) {
        const std::string wrong = difference_of(own[k], exact[k], bound);
        EXPECT_EQ(wrong, "") << check.operation << " case " << i << " on " << isa_name(rung) << " "
                             << toString(draws.type()) << ": " << describe(shape)
                             << (k == 0 ? " result"
                                        : " gradient of operand " + std::to_string(k - 1));
        good = good && wrong.empty();
      }
    }
    if (!good) break;
  }
  set_isa(before);
  if (only >= 0 || !good) return;
  for (const auto* ladder : check.ladders) {
    for (Isa rung : ladder->rungs()) {
      const auto& machine = machine_isas();
      if (std::find(machine.begin(), machine.end(), rung) == machine.end()) continue;
      EXPECT_GT((runs[{ladder->operation(), rung}]), 0u)
          << ladder->operation() << " never ran on " << isa_name(rung);
    }
  }
}

}  // namespace halftone
