#include "halftone/tasks/compare_report.h"

#include <cmath>
#include <cstdio>
#include <optional>
#include <utility>

#include "halftone/base/file.h"
#include "halftone/base/isa.h"
#include "halftone/numerics/machine.h"
#include "halftone/report/html_page.h"
#include "halftone/report/png_chart.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/task.h"

namespace halftone::tasks {
namespace {

constexpr std::size_t kCurvePoints = 120;
constexpr std::size_t kLastEvaluations = 3;

template <class... Values>
std::string print(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

constexpr const char* kNotMeasured = "not measured";

// One of the peaks; empty where it was not measured.
std::optional<double> peak(const ArmResult& arm, std::int64_t MemoryPeaks::*which) {
  if (!arm.memory || *arm.memory.*which == 0) return std::nullopt;
  return static_cast<double>(*arm.memory.*which);
}

std::optional<double> timed(const ArmResult& arm, double value) {
  return arm.step_ms.count() ? std::optional(value) : std::nullopt;
}

std::string mebibytes(double bytes) { return print("%.1f MiB", bytes / 0x1p20); }
std::string milliseconds(double value) { return print(value < 100 ? "%.2f ms" : "%.0f ms", value); }
std::string whole(double value) { return print("%.0f", value); }

// A quantity of both arms, and the mixed arm's over fp32's.
std::vector<std::string> measured_row(const std::string& name, std::optional<double> fp32,
                                      std::optional<double> mixed, std::string (*show)(double)) {
  const auto cell = [&](std::optional<double> value) {
    return value ? show(*value) : std::string(kNotMeasured);
  };
  const bool both = fp32 && mixed && *fp32 > 0;
  return {name, cell(fp32), cell(mixed), both ? print("%.2f×", *mixed / *fp32) : ""};
}

Json json_of(std::optional<double> value) { return value ? Json(*value) : Json(); }
Json json_of(const ArmResult& arm, std::int64_t MemoryPeaks::*which) {
  return arm.memory ? Json(*arm.memory.*which) : Json();
}

report::Series metric_curve(const ArmResult& arm) {
  report::Series series{.name = arm.name, .x = {}, .y = {}};
  for (const auto& evaluation : arm.evaluations) {
    series.x.push_back(static_cast<double>(evaluation.step));
    series.y.push_back((arm.metric.share ? 100 : 1) * evaluation.metric(arm.metric.name));
  }
  return series;
}

report::Series time_curve(const ArmResult& arm) {
  report::Series series{.name = arm.name, .x = {}, .y = arm.step_ms.values()};
  const double first = static_cast<double>(arm.loss.x.size() - series.y.size()) + 1;
  for (std::size_t i = 0; i < series.y.size(); ++i) {
    series.x.push_back(first + static_cast<double>(i));
  }
  series.markers = false;
  return report::thinned(series, kCurvePoints);
}

Json arm_json(const ArmResult& arm, std::int64_t batch) {
  Json json;
  json["name"] = arm.name;
  json["format"] = format_name(arm.format);
  json["step_ms_median"] = json_of(timed(arm, arm.step_ms.median()));
  json["step_ms_iqr"] = json_of(timed(arm, arm.step_ms.iqr()));
  json["samples_per_s"] = json_of(timed(arm, arm.samples_per_s(batch)));
  json["peak_tensor_bytes"] = json_of(arm, &MemoryPeaks::tensor_bytes);
  json["peak_rss_bytes"] = json_of(arm, &MemoryPeaks::rss_bytes);
  json["final_" + arm.metric.name] = arm.final_metric();
  json["best_" + arm.metric.name] = arm.best_metric();
  json["skipped_steps"] = arm.skipped_steps;
  json["final_scale"] = arm.final_scale;
  return json;
}

std::string setting(const Comparison& comparison) {
  const RunConfig& config = comparison.config;
  return config.model + " on " + config.task + ", " + std::to_string(comparison.steps) +
         " steps of " + std::to_string(config.batch) + " " + find_task(config.task).facts().noun +
         ", seed " + std::to_string(config.seed);
}

std::string machine_line() {
  const numerics::Machine machine = numerics::this_machine();
  return machine.cpu + ", " + std::to_string(machine.threads) + " threads, LibTorch " +
         machine.libtorch_version + ", Halftone " + machine.halftone_version + ".";
}

std::string page(const Comparison& comparison) {
  const std::string mixed = comparison.mixed.name;
  report::HtmlPage page("fp32 and " + mixed + " side by side: " + comparison.config.task);
  page.add_paragraph(
      setting(comparison) + ". Both arms started from the same weights and " +
      (comparison.own_batches ? "each played for its own batches" : "saw the same batches") +
      "; their steps were interleaved, so that the machine's noise fell on both.");
  page.add_summary(compare_summary(comparison));
  page.add_table(compare_table(comparison).rows());
  page.add_heading("Curves");
  page.add_charts(compare_charts(comparison));
  if (comparison.lockstep) add_lockstep(*comparison.lockstep, page);
  page.add_heading("How it was measured");
  if (!comparison.choice.empty())
    page.add_paragraph("Chosen by measurement: " + comparison.choice + ".");
  page.add_paragraph(
      "Step time is forward, backward and update without waiting for data; the first steps are "
      "left "
      "out. Samples per second are those of the median step. IQR is the distance between the "
      "quartiles. Memory peaks are those of a few steps in a "
      "process of its own per arm: live tensors without the data set, and the whole process.");
  page.add_paragraph(machine_line());
  page.add_heading("The mixed arm's configuration");
  page.add_preformatted(comparison.config.to_toml());
  return page.str();
}

}  // namespace

report::TextTable compare_table(const Comparison& comparison) {
  const ArmResult &a = comparison.fp32, &b = comparison.mixed;
  const metrics::MetricKind& kind = a.metric;
  const auto row = [&](const std::string& name, double fp32, double mixed) {
    return std::vector<std::string>{name, metrics::show(kind, fp32), metrics::show(kind, mixed),
                                    metrics::show_difference(kind, mixed - fp32)};
  };
  report::TextTable table({"", a.name, b.name, "against " + a.name});
  const auto speedup = comparison.speedup();
  auto times = measured_row("step time, median", timed(a, a.step_ms.median()),
                            timed(b, b.step_ms.median()), milliseconds);
  times.back() = speedup ? print("%.2f× as fast", *speedup) : "";
  table.add_row(times);
  times = measured_row("step time, IQR", timed(a, a.step_ms.iqr()), timed(b, b.step_ms.iqr()),
                       milliseconds);
  times.back() = "";
  table.add_row(times);
  const std::int64_t batch = comparison.config.batch;
  table.add_row(measured_row("samples per second", timed(a, a.samples_per_s(batch)),
                             timed(b, b.samples_per_s(batch)), whole));
  for (const auto& [name, which] : {std::pair{"peak tensor memory", &MemoryPeaks::tensor_bytes},
                                    std::pair{"peak of the process", &MemoryPeaks::rss_bytes}}) {
    table.add_row(measured_row(name, peak(a, which), peak(b, which), mebibytes));
  }
  table.add_row(row("final " + metrics::title(kind), a.final_metric(), b.final_metric()));
  table.add_row(row("mean of the last three", a.mean_metric(kLastEvaluations),
                    b.mean_metric(kLastEvaluations)));
  table.add_row(row("best " + metrics::title(kind), a.best_metric(), b.best_metric()));
  table.add_row(
      {"skipped steps", std::to_string(a.skipped_steps), std::to_string(b.skipped_steps), ""});
  table.add_row({"final loss scale", print("%g", a.final_scale), print("%g", b.final_scale), ""});
  return table;
}

std::string compare_summary(const Comparison& comparison) {
  const std::string& name = comparison.mixed.name;
  const auto speedup = comparison.speedup();
  std::string text;
  if (!speedup) {
    text = name + " against fp32: step time not measured (too few steps)";
  } else if (*speedup >= 1.01) {
    text = name + print(" trains %.2f times as fast as fp32 on this machine", *speedup);
  } else if (*speedup > 0.99) {
    text = name + " is no faster than fp32 on this machine (equal within 1 %)";
  } else {
    text = name + print(" is slower than fp32 on this machine: its steps take %.2f times as long",
                        1 / *speedup);
  }
  if (const auto ratio = comparison.memory_ratio()) {
    text += print(", with %.2f times the tensor memory", *ratio);
  }
  const metrics::MetricKind& kind = comparison.fp32.metric;
  const double fp32 = comparison.fp32.mean_metric(kLastEvaluations);
  const double mixed = comparison.mixed.mean_metric(kLastEvaluations);
  text += "; " + metrics::title(kind) + " " + metrics::show(kind, mixed) + " against " +
          metrics::show(kind, fp32) + " (" + metrics::show_difference(kind, mixed - fp32) +
          ", mean of the last three evaluations).";
  if (speedup && *speedup < 1.01 && !comparison.choice.empty()) {
    text += " No half format is faster than fp32 here.";
  }
  return text;
}

std::vector<report::LineChart> compare_charts(const Comparison& comparison) {
  const ArmResult &a = comparison.fp32, &b = comparison.mixed;
  return {{"Test " + metrics::title(a.metric),
           "step",
           a.metric.share ? "%" : a.metric.unit,
           {metric_curve(a), metric_curve(b)}},
          {"Training loss",
           "step",
           "",
           {report::thinned(a.loss, kCurvePoints), report::thinned(b.loss, kCurvePoints)}},
          {"Step time", "step", "ms", {time_curve(a), time_curve(b)}}};
}

Json compare_json(const Comparison& comparison) {
  Json json;
  json["task"] = comparison.config.task;
  json["metric"] = comparison.fp32.metric.name;
  json["higher_is_better"] = comparison.fp32.metric.higher_is_better;
  json["arms"].push_back(arm_json(comparison.fp32, comparison.config.batch));
  json["arms"].push_back(arm_json(comparison.mixed, comparison.config.batch));
  json["speedup"] = json_of(comparison.speedup());
  json["memory_ratio"] = json_of(comparison.memory_ratio());
  if (comparison.lockstep) json["lockstep"] = comparison.lockstep->to_json();
  return json;
}

void write_compare_reports(const Comparison& comparison, const std::filesystem::path& out) {
  make_directories(out);
  write_file(out / "report.json", compare_json(comparison).dump(2) + "\n");
  write_file(out / "report.html", page(comparison));
  const std::string names[] = {comparison.fp32.metric.name + ".png", "loss.png", "step_time.png"};
  const auto charts = compare_charts(comparison);
  for (std::size_t i = 0; i < charts.size(); ++i) {
    write_file(out / names[i], report::png_line_chart(charts[i]).png());
  }
}

}  // namespace halftone::tasks
