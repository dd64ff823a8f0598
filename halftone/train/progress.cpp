#include <algorithm>
#include <cstdio>
#include <string>

#include "halftone/numerics/fault_report.h"
#include "halftone/train/calibration_report.h"
#include "halftone/train/callbacks.h"

namespace halftone {
namespace {

// "45 s", "3:07", "2:03:07".
std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  char text[32];
  if (whole < 60)
    std::snprintf(text, sizeof text, "%d s", static_cast<int>(whole));
  else if (whole < 3600)
    std::snprintf(text, sizeof text, "%d:%02d", static_cast<int>(whole / 60),
                  static_cast<int>(whole % 60));
  else
    std::snprintf(text, sizeof text, "%lld:%02d:%02d", static_cast<long long>(whole / 3600),
                  static_cast<int>(whole / 60 % 60), static_cast<int>(whole % 60));
  return text;
}

std::string number(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

ProgressBar::ProgressBar(std::ostream& out, ProgressOptions options)
    : out_(out), options_(options) {}

// An exception may leave the bar's line open: what is printed next starts on a line of its own.
ProgressBar::~ProgressBar() { end_bar(); }

void ProgressBar::end_bar() {
  if (bar_open_) out_ << "\n" << std::flush;
  bar_open_ = false;
}

void ProgressBar::on_start(const RunInfo& run) {
  run_ = run;
  started_ = drawn_ = Clock::now();
  samples_ = 0;
  evaluating_ = 0;
}

void ProgressBar::on_step(const StepInfo& step) {
  constexpr double kRedraw = 0.1;  // seconds: the eye needs no more, the step feels no less
  samples_ += step.samples;
  const auto now = Clock::now();
  const bool last = step.step >= run_.total_steps;
  if (!last && seconds_between(drawn_, now) < (options_.terminal ? kRedraw : options_.seconds))
    return;
  drawn_ = now;
  draw(step, now);
}

void ProgressBar::draw(const StepInfo& step, Clock::time_point now) {
  const double elapsed = std::max(1e-9, seconds_between(started_, now));
  const double rate = static_cast<double>(samples_) / std::max(1e-9, elapsed - evaluating_);
  const std::int64_t done = std::max<std::int64_t>(1, step.step - run_.first_step);
  const double left = elapsed / static_cast<double>(done) *
                      static_cast<double>(std::max<std::int64_t>(0, run_.total_steps - step.step));
  const std::string count = std::to_string(step.step) + "/" + std::to_string(run_.total_steps);
  std::string facts = "  loss " + number("%.4f", step.loss) + "  " + number("%.0f", rate) +
                      " samples/s  scale " + number("%g", step.scale) + "  ETA " + duration(left);
  if (!options_.terminal) {
    out_ << "epoch " << step.epoch + 1 << "  step " << count << facts << std::endl;
    return;
  }
  const int room = options_.width - 1 - 3 - static_cast<int>(count.size() + facts.size());
  std::string line;
  if (room >= 5) {
    const double share = run_.total_steps > 0 ? static_cast<double>(step.step) /
                                                    static_cast<double>(run_.total_steps)
                                              : 0;
    const auto filled = static_cast<std::size_t>(std::min(1.0, share) * room);
    line = "[" + std::string(filled, '=') +
           std::string(static_cast<std::size_t>(room) - filled, ' ') + "] ";
  }
  line += count + facts;
  line.resize(static_cast<std::size_t>(std::max(1, options_.width - 1)), ' ');
  out_ << '\r' << line << std::flush;
  bar_open_ = true;
}

void ProgressBar::on_fault(const numerics::FaultReport& fault) {
  end_bar();
  out_ << fault.text() << std::endl;
}

// What moved is told by on_switch().
void ProgressBar::on_calibration(const CalibrationReport& calibration) {
  evaluating_ += calibration.seconds;
  if (calibration.note.empty()) return;
  end_bar();
  out_ << "step " << calibration.step << "  calibration: " << calibration.note << std::endl;
}

void ProgressBar::on_switch(const PrecisionSwitch& change) {
  end_bar();
  out_ << "step " << change.step << "  " << change.name << " " << change.from << " -> " << change.to
       << ": " << change.reason << std::endl;
}

void ProgressBar::on_evaluation(const Evaluation& evaluation) {
  evaluating_ += evaluation.seconds;
  end_bar();
  out_ << "epoch " << evaluation.epoch + 1 << "  step " << evaluation.step << "  evaluation loss "
       << number("%.4f", evaluation.loss);
  for (const auto& [kind, value] : evaluation.metrics)
    out_ << "  " << metrics::title(kind) << " " << metrics::show(kind, value);
  if (evaluation.best) out_ << "  (best)";
  out_ << std::endl;
}

void ProgressBar::on_end(const TrainResult& result) {
  end_bar();
  if (result.interrupted()) out_ << "stopped by a signal after step " << result.steps << "\n";
  if (result.stopped_early)
    out_ << "no better evaluation: stopped after step " << result.steps << "\n";
  out_ << std::flush;
}

}  // namespace halftone
