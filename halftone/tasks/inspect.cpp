#include "halftone/tasks/inspect.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"
#include "halftone/base/text.h"
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

const CandidateFormat& candidate(const std::string& name) {
  std::vector<std::string> names;
  for (const CandidateFormat& format : kCandidateFormats) {
    if (format.name == name) return format;
    names.emplace_back(format.name);
  }
  throw UsageError(quote(name), choices(name, names), "format");
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

std::vector<std::string> header_cells(const std::string& format) {
  std::vector<std::string> header{"tensor",    "stored",    "amax",    "headroom",
                                  "underflow", "subnormal", "overflow"};
  for (const CandidateFormat& each : kCandidateFormats) header.emplace_back(each.name);
  header[3] += " in " + format;
  return header;
}

// "fc.weight, gradient" and numbers; SQNR in dB by format.
std::vector<std::string> row_cells(const TensorDanger& row) {
  const TensorStatistics& tensor = *row.tensor;
  std::vector<std::string> cells{
      tensor.name + ", " + numerics::tensor_kind_name(tensor.kind),
      tensor.format,
      number("%.3g", tensor.amax),
      std::isfinite(row.headroom) ? number("%.1f bits", row.headroom) : "–",
      number("%.1f %%", 100 * row.fit.underflow),
      number("%.1f %%", 100 * row.fit.subnormal),
      number("%.2f %%", 100 * row.fit.overflow)};
  for (const CandidateFormat& format : kCandidateFormats) {
    cells.push_back(decibels(tensor.fit(format).sqnr_db));
  }
  return cells;
}

std::string cell_text(const TensorDanger& row) {
  std::string text = "amax " + number("%.3g", row.tensor->amax);
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
    for (const TensorDanger& danger : dangers(ranges.samples[s], ranges.format)) {
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

std::vector<TensorDanger> worst_first(const RangeReport& sample, const std::string& format) {
  auto rows = dangers(sample, format);
  std::stable_sort(rows.begin(), rows.end(), [](const TensorDanger& a, const TensorDanger& b) {
    return a.danger > b.danger;
  });
  return rows;
}

// The result in a sentence.
std::string verdict(const RunRanges& ranges) {
  const auto rows = worst_first(ranges.samples.back(), ranges.format);
  const auto in_danger = std::count_if(rows.begin(), rows.end(),
                                       [](const TensorDanger& row) { return row.danger >= 0.5; });
  if (in_danger == 0) return "No tensor is in danger in " + ranges.format + ".";
  return std::to_string(in_danger) + " of " + std::to_string(rows.size()) +
         " tensors are in danger in " + ranges.format + "; most of all " + rows[0].tensor->name +
         " (" + numerics::tensor_kind_name(rows[0].tensor->kind) + "): " + cell_text(rows[0]) + ".";
}

}  // namespace

RunRanges load_ranges(const std::filesystem::path& run, const std::string& format) {
  const RunConfig config = RunConfig::load(run);
  RunRanges ranges;
  ranges.policy = config.policy.name;
  ranges.format = !format.empty()                         ? format
                  : config.policy.compute == Format::bf16 ? "bf16"
                                                          : "fp16";
  candidate(ranges.format);
  for_each_line(run / "ranges.jsonl",
                [&](const Json& line) { ranges.samples.push_back(RangeReport::from_json(line)); });
  if (ranges.samples.empty()) {
    throw Error("no ranges.jsonl with a sample",
                "a run that was sampled (halftone train --monitor-every)", run.string());
  }
  read_history(run, ranges);
  return ranges;
}

std::vector<TensorDanger> dangers(const RangeReport& sample, const std::string& format) {
  const CandidateFormat& target = candidate(format);
  std::vector<TensorDanger> rows;
  for (const TensorStatistics& tensor : sample.tensors) {
    if (tensor.kind == TensorKind::update) continue;  // added to masters, never stored
    TensorDanger row{&tensor, numerics::headroom_bits(tensor.amax, target), tensor.fit(target), 0};
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
  report::TextTable table(header_cells(ranges.format));
  for (const TensorDanger& row : worst_first(sample, ranges.format)) {
    if (rows-- == 0) break;
    table.add_row(row_cells(row));
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
      "Each cell is a tensor at one step. Green: it fits " + ranges.format +
      ". Dark red: the largest magnitude is within a bit of overflow, or half of the tensor "
      "underflows to zero or nearly all of it is subnormal. Gradients are as they were computed, "
      "times the loss scale.");
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
  std::vector<std::vector<std::string>> rows{header_cells(ranges.format)};
  for (const TensorDanger& row : worst_first(ranges.samples.back(), ranges.format)) {
    rows.push_back(row_cells(row));
  }
  page.add_table(rows);
  return page.str();
}

}  // namespace halftone::tasks
