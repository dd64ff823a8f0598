#include "halftone/tasks/inspect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"
#include "halftone/precision/number_formats.h"
#include "halftone/precision/quantize.h"
#include "halftone/report/html_page.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/json_lines.h"
#include "halftone/tasks/run_config.h"

namespace halftone::tasks {
namespace {

using numerics::CandidateFormat;
using numerics::kCandidateFormats;
using numerics::RangeReport;
using numerics::TensorKind;
using numerics::TensorStatistics;

// Bits between the largest magnitude and overflow at which nobody worries: a batch may be that much
// larger than the one that was sampled.
constexpr double kCalmHeadroom = 6;
// Share of a tensor that underflows at which half of its information is gone.
constexpr double kAlarmingUnderflow = 0.5;
constexpr double kAlarmingSqnr = 10, kCalmSqnr = 30;  // dB, of formats that scale each tensor
constexpr std::size_t kMostColumns = 60;              // of a heat map
constexpr TensorKind kHeldKinds[] = {TensorKind::activation, TensorKind::weight,
                                     TensorKind::activation_grad, TensorKind::weight_grad};

// A number format of a policy as a candidate: its names of those that kCandidateFormats has
// already.
std::string column_name(const std::string& number_format) {
  if (number_format == "e4m3fn") return "E4M3";
  return number_format == "e5m2" ? "E5M2" : number_format;
}

// Scaled by each tensor's largest magnitude, as emulation does.
CandidateFormat candidate_of(std::string_view name, const kernels::NumberFormat& format) {
  return {name,
          kernels::largest_value(format),
          format.is_fixed_point() ? 0 : 1 - format.bias,
          format.is_fixed_point() ? 0 : format.mantissa_bits,
          /*scaled=*/true,
          format.is_fixed_point()};
}

CandidateFormat candidate(const std::string& name) {
  for (const CandidateFormat& format : kCandidateFormats) {
    if (format.name == column_name(name)) return format;
  }
  for (const std::string& known : number_format_names()) {
    if (known == name) return candidate_of(known, number_format(known));
  }
  throw UsageError(quote(name), choices(name, inspect_formats()), "format");
}

HeldFormats formats_of(const Policy& policy) {
  HeldFormats formats = HeldFormats::all(policy.compute == Format::bf16 ? "bf16" : "fp16");
  const EmulationPolicy& emulation = policy.emulation;
  for (const auto& [name, held] : {std::pair{&emulation.activations, &formats.activation},
                                   {&emulation.weights, &formats.weight},
                                   {&emulation.gradients, &formats.activation_grad}}) {
    if (*name != "none") *held = column_name(*name);
  }
  return formats;
}

std::vector<CandidateFormat> columns_of(const HeldFormats& formats) {
  std::vector<CandidateFormat> columns(kCandidateFormats.begin(), kCandidateFormats.end());
  for (const TensorKind kind : kHeldKinds) {
    const std::string& name = formats.of(kind);
    if (std::none_of(columns.begin(), columns.end(),
                     [&](const CandidateFormat& each) { return each.name == name; })) {
      columns.push_back(candidate(name));
    }
  }
  return columns;
}

void read_history(const std::filesystem::path& run, RunRanges& ranges) {
  double skipped = 0;
  for_each_line(run / "metrics.jsonl", [&](const Json& line) {
    const std::string& type = line.at("type").as_string();
    if (type == "step") {
      skipped += !line.at("applied").as_bool();
      ranges.steps.push_back(line.at("step").as_double());
      ranges.log2_scale.push_back(std::log2(line.at("scale").as_double()));
      ranges.skipped.push_back(skipped);
    } else if (type == "fault") {
      ranges.faults.push_back("step " + std::to_string(line.at("step").as_int()) + ": " +
                              line.at("symptom").as_string() + "; " + line.at("name").as_string());
    }
  });
}

std::string number(const char* format, double value) {
  char text[40];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string decibels(double value) { return std::isfinite(value) ? number("%.0f", value) : "–"; }

double unit_interval(double value) { return std::clamp(value, 0.0, 1.0); }

std::vector<std::string> header_cells(const RunRanges& ranges) {
  std::vector<std::string> header{"tensor",   "stored",    "amax",      "held in",
                                  "headroom", "underflow", "subnormal", "overflow"};
  for (const CandidateFormat& each : ranges.columns) header.emplace_back(each.name);
  return header;
}

// "fc.weight, gradient" and numbers; SQNR in dB by format.
std::vector<std::string> row_cells(const RunRanges& ranges, const TensorDanger& row) {
  const TensorStatistics& tensor = *row.tensor;
  std::vector<std::string> cells{
      tensor.name + ", " + numerics::tensor_kind_name(tensor.kind),
      tensor.format,
      number("%.3g", tensor.amax),
      ranges.formats.of(tensor.kind),
      std::isfinite(row.headroom) ? number("%.1f bits", row.headroom) : "–",
      number("%.1f %%", 100 * row.fit.underflow),
      number("%.1f %%", 100 * row.fit.subnormal),
      number("%.2f %%", 100 * row.fit.overflow)};
  for (const CandidateFormat& format : ranges.columns) {
    cells.push_back(decibels(tensor.fit(format).sqnr_db));
  }
  return cells;
}

std::string cell_text(const TensorDanger& row) {
  std::string text = "amax " + number("%.3g", row.tensor->amax);
  if (const double scale = row.tensor->layer_scale; scale != 1) {
    text += ", held times 2^" + std::to_string(std::ilogb(scale));
  }
  if (std::isfinite(row.headroom)) text += ", headroom " + number("%.1f bits", row.headroom);
  text += ", underflow " + number("%.1f %%", 100 * row.fit.underflow);
  text += ", subnormal " + number("%.1f %%", 100 * row.fit.subnormal);
  if (row.tensor->not_finite) text += ", " + std::to_string(row.tensor->not_finite) + " not finite";
  return text;
}

// Layers in the order in which the first sample names them, at most kMostColumns samples.
report::HeatMap heat_map(const RunRanges& ranges, TensorKind kind, const std::string& title) {
  report::HeatMap map;
  map.title = title;
  std::map<std::string, std::size_t> row_of;
  const std::size_t stride = (ranges.samples.size() + kMostColumns - 1) / kMostColumns;
  for (std::size_t s = 0; s < ranges.samples.size(); s += stride) {
    const std::size_t column = map.columns.size();
    map.columns.push_back(std::to_string(ranges.samples[s].step));
    for (const TensorDanger& danger : dangers(ranges.samples[s], ranges.formats)) {
      if (danger.tensor->kind != kind) continue;
      const auto [row, added] = row_of.try_emplace(danger.tensor->name, map.rows.size());
      if (added) {
        map.rows.push_back(danger.tensor->name);
        map.cells.emplace_back();
      }
      map.cells[row->second].resize(column + 1);
      map.cells[row->second][column] = {danger.danger, cell_text(danger)};
    }
  }
  for (auto& row : map.cells) row.resize(map.columns.size());
  return map;
}

std::vector<TensorDanger> worst_first(const RangeReport& sample, const HeldFormats& formats) {
  auto rows = dangers(sample, formats);
  std::stable_sort(rows.begin(), rows.end(), [](const TensorDanger& a, const TensorDanger& b) {
    return a.danger > b.danger;
  });
  return rows;
}

// The result in a sentence.
std::string verdict(const RunRanges& ranges) {
  const auto rows = worst_first(ranges.samples.back(), ranges.formats);
  const auto in_danger = std::count_if(rows.begin(), rows.end(),
                                       [](const TensorDanger& row) { return row.danger >= 0.5; });
  if (in_danger == 0) return "No tensor is in danger in " + ranges.formats.text() + ".";
  return std::to_string(in_danger) + " of " + std::to_string(rows.size()) +
         " tensors are in danger in " + ranges.formats.text() + "; most of all " +
         rows[0].tensor->name + " (" + numerics::tensor_kind_name(rows[0].tensor->kind) +
         "): " + cell_text(rows[0]) + ".";
}

}  // namespace

RunRanges load_ranges(const std::filesystem::path& run, const std::string& format) {
  const RunConfig config = RunConfig::load(run);
  RunRanges ranges;
  ranges.policy = config.policy.name;
  ranges.formats = format.empty() ? formats_of(config.policy)
                                  : HeldFormats::all(std::string(candidate(format).name));
  ranges.columns = columns_of(ranges.formats);
  for_each_line(run / "ranges.jsonl",
                [&](const Json& line) { ranges.samples.push_back(RangeReport::from_json(line)); });
  if (ranges.samples.empty()) {
    throw Error("no ranges.jsonl with a sample",
                "a run that was sampled (halftone train --monitor-every)", run.string());
  }
  read_history(run, ranges);
  return ranges;
}

const std::string& HeldFormats::of(TensorKind kind) const {
  switch (kind) {
    case TensorKind::activation:
      return activation;
    case TensorKind::activation_grad:
      return activation_grad;
    case TensorKind::weight:
      return weight;
    default:
      return weight_grad;
  }
}

std::string HeldFormats::text() const {
  std::vector<std::pair<std::string, std::string>> groups;  // format, kinds
  for (const TensorKind kind : kHeldKinds) {
    const auto group = std::find_if(groups.begin(), groups.end(),
                                    [&](const auto& each) { return each.first == of(kind); });
    const std::string name = numerics::tensor_kind_name(kind);
    if (group == groups.end()) {
      groups.emplace_back(of(kind), name);
    } else {
      group->second += ", " + name;
    }
  }
  if (groups.size() == 1) return groups[0].first;
  std::string text;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    text += i == 0 ? "" : i + 1 == groups.size() ? " and " : ", ";
    text += groups[i].first + " (" + groups[i].second + ")";
  }
  return text;
}

std::vector<std::string> inspect_formats() {
  std::vector<std::string> names;
  for (const CandidateFormat& format : kCandidateFormats) names.emplace_back(format.name);
  for (const std::string& name : number_format_names()) {
    if (std::find(names.begin(), names.end(), column_name(name)) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

std::vector<TensorDanger> dangers(const RangeReport& sample, const HeldFormats& formats) {
  std::vector<TensorDanger> rows;
  for (const TensorStatistics& tensor : sample.tensors) {
    if (tensor.kind == TensorKind::update) continue;  // added to masters, never stored
    const CandidateFormat target = candidate(formats.of(tensor.kind));
    TensorDanger row{&tensor, tensor.headroom(target), tensor.fit(target), 0};
    // Of a tensor that the format holds already only subnormal numbers tell of what it has lost.
    row.danger = std::max(unit_interval(row.fit.underflow / kAlarmingUnderflow), row.fit.subnormal);
    if (target.scaled) {
      row.headroom = INFINITY;
      row.danger = std::max(
          row.danger, unit_interval((kCalmSqnr - row.fit.sqnr_db) / (kCalmSqnr - kAlarmingSqnr)));
    } else {
      row.danger = std::max(row.danger, unit_interval(1 - row.headroom / kCalmHeadroom));
    }
    if (tensor.not_finite) row.danger = 1;
    rows.push_back(row);
  }
  return rows;
}

std::string inspect_text(const RunRanges& ranges, std::size_t rows) {
  const RangeReport& sample = ranges.samples.back();
  report::TextTable table(header_cells(ranges));
  for (const TensorDanger& row : worst_first(sample, ranges.formats)) {
    if (rows-- == 0) break;
    table.add_row(row_cells(ranges, row));
  }
  std::string text = verdict(ranges) + "\nStep " + std::to_string(sample.step) + ", " +
                     ranges.policy + ", loss scale " + format_number(sample.loss_scale) +
                     "; the most endangered first, on the right the ratio of signal to rounding "
                     "error in dB:\n\n" +
                     table.str();
  for (const std::string& fault : ranges.faults) text += "\nfault at " + fault;
  return ranges.faults.empty() ? text : text + "\n";
}

std::string inspect_page(const RunRanges& ranges) {
  report::HtmlPage page("Ranges of a run in " + ranges.policy);
  page.add_summary(verdict(ranges));
  page.add_paragraph(
      "Each cell is a tensor at one step. Green: it fits " + ranges.formats.text() +
      ". Dark red: the largest magnitude is within a bit of overflow, or half of the tensor "
      "underflows to zero or nearly all of it is subnormal; of formats that each tensor is "
      "scaled to, the ratio of signal to rounding error is 10 dB or less. Gradients are as they "
      "were computed, times the loss scale, but without layers' own scales.");
  page.add_heading("Activations");
  page.add_heat_map(heat_map(ranges, TensorKind::activation, "What layers put out"));
  page.add_heading("Gradients");
  page.add_heat_map(heat_map(ranges, TensorKind::activation_grad, "What comes back to layers"));
  page.add_heat_map(heat_map(ranges, TensorKind::weight_grad, "Gradients of parameters"));
  page.add_heading("Weights");
  page.add_heat_map(heat_map(ranges, TensorKind::weight, "Parameters"));
  if (!ranges.steps.empty()) {
    page.add_heading("Loss scale and skipped steps");
    page.add_charts(
        {{"Loss scale", "step", "log2", {{"scale", ranges.steps, ranges.log2_scale, false}}},
         {"Skipped steps", "step", "so far", {{"skipped", ranges.steps, ranges.skipped, false}}}});
  }
  for (const std::string& fault : ranges.faults) page.add_paragraph("Fault at " + fault);
  page.add_heading("All tensors of step " + std::to_string(ranges.samples.back().step));
  page.add_paragraph(
      "Under each format's name the ratio of signal to rounding error in dB if the tensor were "
      "held "
      "in it: fp16 and bf16 as it is, the others brought to their range by a factor for each "
      "tensor.");
  std::vector<std::vector<std::string>> rows{header_cells(ranges)};
  for (const TensorDanger& row : worst_first(ranges.samples.back(), ranges.formats)) {
    rows.push_back(row_cells(ranges, row));
  }
  page.add_table(rows);
  return page.str();
}

}  // namespace halftone::tasks
