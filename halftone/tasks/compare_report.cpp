#include "halftone/tasks/compare_report.h"

#include <cmath>
#include <cstdio>

#include "halftone/base/file.h"
#include "halftone/base/isa.h"
#include "halftone/numerics/machine.h"
#include "halftone/report/html_page.h"
#include "halftone/report/png_chart.h"
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

std::string mebibytes(std::int64_t bytes) {
  return bytes > 0 ? print("%.1f MiB", static_cast<double>(bytes) / 0x1p20) : "not measured";
}

std::string quotient(double numerator, double denominator) {
  return denominator > 0 ? print("%.2f×", numerator / denominator) : "";
}

std::string ratio(std::int64_t mixed, std::int64_t fp32) {
  return quotient(static_cast<double>(mixed), static_cast<double>(fp32));
}

std::string milliseconds(double value) { return print(value < 100 ? "%.2f ms" : "%.0f ms", value); }

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

Json arm_json(const ArmResult& arm) {
  Json json;
  json["name"] = arm.name;
  json["format"] = format_name(arm.format);
  json["step_ms_median"] = arm.step_ms.median();
  json["step_ms_iqr"] = arm.step_ms.iqr();
  json["samples_per_s"] = arm.samples_per_s;
  json["peak_tensor_bytes"] = arm.memory.tensor_bytes;
  json["peak_rss_bytes"] = arm.memory.rss_bytes;
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
  page.add_paragraph(setting(comparison) +
                     ". Both arms started from the same weights and saw the "
                     "same batches; their steps were interleaved, so that the machine's noise fell "
                     "on both.");
  page.add_summary(compare_summary(comparison));
  page.add_table(compare_table(comparison).rows());
  page.add_heading("Curves");
  page.add_charts(compare_charts(comparison));
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
  table.add_row({"step time, median", milliseconds(a.step_ms.median()),
                 milliseconds(b.step_ms.median()), print("%.2f× as fast", comparison.speedup())});
  table.add_row(
      {"step time, IQR", milliseconds(a.step_ms.iqr()), milliseconds(b.step_ms.iqr()), ""});
  table.add_row({"samples per second", print("%.0f", a.samples_per_s),
                 print("%.0f", b.samples_per_s), quotient(b.samples_per_s, a.samples_per_s)});
  table.add_row({"peak tensor memory", mebibytes(a.memory.tensor_bytes),
                 mebibytes(b.memory.tensor_bytes),
                 ratio(b.memory.tensor_bytes, a.memory.tensor_bytes)});
  table.add_row({"peak of the process", mebibytes(a.memory.rss_bytes),
                 mebibytes(b.memory.rss_bytes), ratio(b.memory.rss_bytes, a.memory.rss_bytes)});
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
  const double speedup = comparison.speedup();
  std::string text;
  if (speedup >= 1.01) {
    text = name + print(" trains %.2f times as fast as fp32 on this machine", speedup);
  } else if (speedup > 0.99) {
    text = name + " is no faster than fp32 on this machine (equal within 1 %)";
  } else {
    text = name + print(" is slower than fp32 on this machine: its steps take %.2f times as long",
                        speedup > 0 ? 1 / speedup : 0.0);
  }
  if (comparison.memory_ratio() > 0) {
    text += print(", with %.2f times the tensor memory", comparison.memory_ratio());
  }
  const metrics::MetricKind& kind = comparison.fp32.metric;
  const double fp32 = comparison.fp32.mean_metric(kLastEvaluations);
  const double mixed = comparison.mixed.mean_metric(kLastEvaluations);
  text += "; " + metrics::title(kind) + " " + metrics::show(kind, mixed) + " against " +
          metrics::show(kind, fp32) + " (" + metrics::show_difference(kind, mixed - fp32) +
          ", mean of the last three evaluations).";
  if (speedup < 1.01 && !comparison.choice.empty()) {
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
  json["arms"].push_back(arm_json(comparison.fp32));
  json["arms"].push_back(arm_json(comparison.mixed));
  json["speedup"] = comparison.speedup();
  json["memory_ratio"] = comparison.memory_ratio();
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
