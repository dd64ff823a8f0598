#include "halftone/numerics/range_report.h"

#include <algorithm>
#include <cmath>

#include "halftone/base/error.h"
#include "halftone/base/text.h"

namespace halftone::numerics {
namespace {

constexpr TensorKind kKinds[] = {TensorKind::activation, TensorKind::activation_grad,
                                 TensorKind::weight, TensorKind::weight_grad, TensorKind::update};

TensorKind parse_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const TensorKind kind : kKinds) {
    if (name == tensor_kind_name(kind)) return kind;
    names.emplace_back(tensor_kind_name(kind));
  }
  throw Error(quote(name), choices(name, names), "ranges, kind");
}

// [[exponent field, elements], …]: few of the 256 are there.
Json json_of_exponents(const ExponentHistogram& exponents) {
  Json list = Json::array();
  for (std::size_t e = 0; e < exponents.size(); ++e) {
    if (exponents[e] == 0) continue;
    Json pair = Json::array();
    pair.push_back(static_cast<std::int64_t>(e));
    pair.push_back(exponents[e]);
    list.push_back(std::move(pair));
  }
  return list;
}

ExponentHistogram exponents_of(const Json& list) {
  ExponentHistogram exponents{};
  for (const Json& pair : list.as_array()) {
    const auto& values = pair.as_array();
    const std::int64_t e = values.size() == 2 ? values[0].as_int() : -1;
    if (e < 0 || e > 255) throw Error(pair.dump(), "[exponent, count]", "ranges, exponents");
    exponents[static_cast<std::size_t>(e)] = values[1].as_int();
  }
  return exponents;
}

Json json_of(const TensorStatistics& tensor) {
  Json json;
  json["kind"] = tensor_kind_name(tensor.kind);
  json["name"] = tensor.name;
  json["format"] = tensor.format;
  json["count"] = tensor.count;
  json["zeros"] = tensor.zeros;
  json["not_finite"] = tensor.not_finite;
  json["amax"] = tensor.amax;
  json["rms"] = tensor.rms;
  json["exponents"] = json_of_exponents(tensor.exponents);
  if (tensor.below_half_ulp >= 0) json["below_half_ulp"] = tensor.below_half_ulp;
  if (tensor.unmoved >= 0) json["unmoved"] = tensor.unmoved;
  if (tensor.layer_scale != 1) json["layer_scale"] = tensor.layer_scale;
  return json;
}

TensorStatistics statistics_of(const Json& json) {
  TensorStatistics tensor;
  tensor.kind = parse_kind(json.at("kind").as_string());
  tensor.name = json.at("name").as_string();
  tensor.format = json.at("format").as_string();
  tensor.count = json.at("count").as_int();
  tensor.zeros = json.at("zeros").as_int();
  tensor.not_finite = json.at("not_finite").as_int();
  tensor.amax = json.at("amax").as_double();
  tensor.rms = json.at("rms").as_double();
  tensor.exponents = exponents_of(json.at("exponents"));
  if (const Json* share = json.find("below_half_ulp")) tensor.below_half_ulp = share->as_double();
  if (const Json* share = json.find("unmoved")) tensor.unmoved = share->as_double();
  if (const Json* scale = json.find("layer_scale")) tensor.layer_scale = scale->as_double();
  return tensor;
}

// Of the same numbers times 2^by; what leaves fp32's normal numbers below is counted among the
// subnormal ones, above among the largest.
ExponentHistogram shifted(const ExponentHistogram& exponents, int by) {
  constexpr int kLargest = 254;  // the field of finite numbers
  ExponentHistogram result{};
  result[0] = exponents[0];
  result[255] = exponents[255];
  for (int e = 1; e <= kLargest; ++e) {
    result[static_cast<std::size_t>(std::clamp(e + by, 0, kLargest))] +=
        exponents[static_cast<std::size_t>(e)];
  }
  return result;
}

}  // namespace

FormatFit TensorStatistics::fit(const CandidateFormat& format) const {
  if (layer_scale == 1) return fit_format(exponents, zeros, amax, format);
  return fit_format(shifted(exponents, std::ilogb(layer_scale)), zeros, amax * layer_scale, format);
}

double TensorStatistics::headroom(const CandidateFormat& format) const {
  return headroom_bits(amax * layer_scale, format);
}

void TensorStatistics::take_out_layer_scale(double scale) {
  exponents = shifted(exponents, -std::ilogb(scale));
  amax /= scale;
  rms /= scale;
  layer_scale = scale;
}

const char* tensor_kind_name(TensorKind kind) {
  switch (kind) {
    case TensorKind::activation:
      return "activation";
    case TensorKind::activation_grad:
      return "activation_grad";
    case TensorKind::weight:
      return "weight";
    case TensorKind::weight_grad:
      return "weight_grad";
    case TensorKind::update:
      return "update";
  }
  return "?";
}

Json RangeReport::to_json() const {
  Json json;
  json["type"] = "ranges";
  json["step"] = step;
  json["loss_scale"] = loss_scale;
  Json list = Json::array();
  for (const TensorStatistics& tensor : tensors) list.push_back(json_of(tensor));
  json["tensors"] = std::move(list);
  return json;
}

RangeReport RangeReport::from_json(const Json& json) {
  RangeReport report;
  report.step = json.at("step").as_int();
  report.loss_scale = json.at("loss_scale").as_double();
  for (const Json& tensor : json.at("tensors").as_array()) {
    report.tensors.push_back(statistics_of(tensor));
  }
  return report;
}

}  // namespace halftone::numerics
