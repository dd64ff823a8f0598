#include "halftone/scaling/gradients.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "halftone/base/error.h"
#include "halftone/base/text.h"
#include "halftone/precision/parameter_names.h"

namespace halftone {
namespace {

// Named in an error where nothing has a gradient; the rest is counted.
constexpr std::int64_t kNamesInError = 5;

struct Place {
  std::int64_t group, index;  // within the group
};

std::string label(const at::Tensor& parameter, Place place) {
  const std::string name = parameter_name(parameter);
  if (!name.empty()) return name;
  return "group " + std::to_string(place.group) + ", parameter " + std::to_string(place.index);
}

// visit(parameter, place) for the parameters of all groups in order; stops where it returns false.
template <class Visit>
void for_each_parameter(const torch::optim::Optimizer& optimizer, Visit&& visit) {
  const auto& groups = optimizer.param_groups();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const auto& parameters = groups[g].params();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const Place place{static_cast<std::int64_t>(g), static_cast<std::int64_t>(i)};
      if (!visit(parameters[i], place)) return;
    }
  }
}

struct DeviceOrder {
  bool operator()(const c10::Device& a, const c10::Device& b) const {
    return std::pair(a.type(), a.index()) < std::pair(b.type(), b.index());
  }
};

using ByFormat = std::map<at::ScalarType, std::vector<at::Tensor>>;
using ByDevice = std::map<c10::Device, ByFormat, DeviceOrder>;

void require_usable(const at::Tensor& grad, const at::Tensor& parameter, Place place,
                    bool allow_fp16) {
  if (grad.layout() != at::kStrided) {
    throw Error("the gradient is sparse", "a dense one", label(parameter, place));
  }
  if (!allow_fp16 && grad.scalar_type() == at::kHalf) {
    throw Error("the gradient is fp16, and unscaling it in place loses what the scale has saved",
                "fp32 weights (Autocast casts them per operation), or fp16 weights with an "
                "optimizer of halftone::optim, which unscales in fp32 (and clips: clip_norm)",
                label(parameter, place));
  }
}

// Returns how many there are; those without elements are counted, not listed.
std::int64_t collect(const torch::optim::Optimizer& optimizer, bool allow_fp16, ByDevice& grads) {
  std::int64_t count = 0;
  for_each_parameter(optimizer, [&](const at::Tensor& parameter, Place place) {
    const at::Tensor& grad = parameter.grad();
    if (!grad.defined()) return true;
    require_usable(grad, parameter, place, allow_fp16);
    ++count;
    if (grad.numel() > 0) grads[grad.device()][grad.scalar_type()].push_back(grad);
    return true;
  });
  return count;
}

// L2 norms of the tensors, one after the other, in `format`; on the device.
at::Tensor norms(const std::vector<at::Tensor>& tensors, at::ScalarType format) {
  return at::stack(at::_foreach_norm(tensors, 2, format)).to(at::kDouble);
}

// {found_inf, norm} of one device's gradients after unscaling them, fetched in one transfer.
std::pair<bool, double> unscale_on_device(const c10::Device& device, ByFormat& by_format,
                                          double inverse_scale) {
  const auto fp32 = at::TensorOptions().dtype(at::kFloat).device(device);
  at::Tensor found = at::zeros({}, fp32);
  const at::Tensor inverse = at::full({}, inverse_scale, fp32);
  std::vector<at::Tensor> parts;
  for (auto& [format, tensors] : by_format) {
    at::_amp_foreach_non_finite_check_and_unscale_(tensors, found, inverse);
    parts.push_back(norms(tensors, format == at::kDouble ? at::kDouble : at::kFloat));
  }
  const at::Tensor norm = at::cat(parts).norm();
  const at::Tensor both = at::stack({found.to(at::kDouble), norm}).cpu();
  return {both[0].item<double>() != 0, both[1].item<double>()};
}

// Only looked for when something is wrong: -1 where all are finite and their fp32 norm overflowed.
std::int64_t first_non_finite(const torch::optim::Optimizer& optimizer) {
  std::int64_t index = -1, at = 0;
  for_each_parameter(optimizer, [&](const at::Tensor& parameter, Place) {
    const at::Tensor& grad = parameter.grad();
    if (grad.defined() && !at::isfinite(grad).all().item<bool>()) index = at;
    ++at;
    return index < 0;
  });
  return index;
}

double norm_in_fp64(const ByDevice& grads) {
  double squares = 0;
  for (const auto& [device, by_format] : grads) {
    for (const auto& [format, tensors] : by_format) {
      const double norm = norms(tensors, at::kDouble).norm().item<double>();
      squares += norm * norm;
    }
  }
  return std::sqrt(squares);
}

}  // namespace

GradientCheck unscale_gradients(const torch::optim::Optimizer& optimizer, double inverse_scale,
                                bool allow_fp16) {
  const at::NoGradGuard no_grad;
  ByDevice grads;
  GradientCheck check;
  check.tensors = collect(optimizer, allow_fp16, grads);
  bool found_inf = false;
  double squares = 0;
  for (auto& [device, by_format] : grads) {
    const auto [found, norm] = unscale_on_device(device, by_format, inverse_scale);
    found_inf = found_inf || found;
    squares += norm * norm;
  }
  check.norm = std::sqrt(squares);
  if (found_inf || !std::isfinite(check.norm)) {
    check.first_non_finite = first_non_finite(optimizer);
    if (check.finite()) check.norm = norm_in_fp64(grads);
  }
  return check;
}

std::string parameter_label(const torch::optim::Optimizer& optimizer, std::int64_t index) {
  std::string name;
  for_each_parameter(optimizer, [&](const at::Tensor& parameter, Place place) {
    if (index-- == 0) name = label(parameter, place);
    return name.empty();
  });
  return name;
}

void throw_no_gradients(const torch::optim::Optimizer& optimizer, const std::string& caller) {
  std::vector<std::string> names;
  std::int64_t count = 0, frozen = 0;
  for_each_parameter(optimizer, [&](const at::Tensor& parameter, Place place) {
    if (count++ < kNamesInError) names.push_back(label(parameter, place));
    frozen += !parameter.requires_grad();
    return true;
  });
  const std::string expected = "backward() of a loss that depends on them before " + caller;
  if (count == 0) throw Error(caller + ": the optimizer has no parameters", "at least one");
  std::string list = join(names, "; ");
  if (count > kNamesInError) list += "; and " + std::to_string(count - kNamesInError) + " more";
  std::string given = caller + ": none of the optimizer's " + std::to_string(count) +
                      " parameters was reached by backward(), none has a gradient (" + list + ")";
  if (frozen == count) given += "; none requires one";
  throw Error(given, expected);
}

}  // namespace halftone
