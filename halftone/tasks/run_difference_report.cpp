// A RunDifference as text and as JSON.
#include <cmath>
#include <cstdio>

#include "halftone/base/text.h"
#include "halftone/report/text_table.h"
#include "halftone/tasks/lockstep_run.h"
#include "halftone/tasks/run_difference.h"

namespace halftone::tasks {
namespace {

std::string short_cell(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string settings_text(const RunDifference& difference) {
  if (difference.settings.empty()) return "the same configuration\n";
  report::TextTable table({"config.toml", "first", "second"});
  for (const SettingDifference& each : difference.settings) {
    table.add_row({each.key, each.a, each.b});
  }
  return table.str();
}

std::string history_text(const RunDifference& difference) {
  report::TextTable table({"", "first", "second"});
  const RunHistory &a = difference.history_a, &b = difference.history_b;
  const auto last = [](const RunHistory& run) {
    return run.losses.empty() ? std::string() : short_cell(run.losses.back());
  };
  table.add_row({"steps", std::to_string(a.losses.size()), std::to_string(b.losses.size())});
  table.add_row({"last loss", last(a), last(b)});
  table.add_row({"skipped steps", std::to_string(a.skipped), std::to_string(b.skipped)});
  table.add_row({"last loss scale", format_number(a.scale), format_number(b.scale)});
  const std::string first =
      difference.first_other_loss
          ? "losses differ from step " + std::to_string(difference.first_other_loss) + " on\n"
          : "every loss that both have is the same\n";
  return table.str() + first;
}

std::string ranges_text(const RunDifference& difference, std::size_t rows) {
  if (difference.range_step == 0) return "no sampled ranges in common (--monitor)\n";
  if (difference.ranges.empty()) return "the same ranges\n";
  report::TextTable table({"range at step " + std::to_string(difference.range_step), "kind",
                           "first amax", "second amax", "ratio"});
  for (std::size_t i = 0; i < std::min(rows, difference.ranges.size()); ++i) {
    const RangeDifference& each = difference.ranges[i];
    table.add_row({each.name, each.kind, short_cell(each.amax_a), short_cell(each.amax_b),
                   short_cell(each.amax_b / each.amax_a)});
  }
  return table.str();
}

std::string weights_text(const RunDifference& difference, std::size_t rows) {
  auto weights = difference.weights;
  std::stable_sort(weights.begin(), weights.end(),
                   [](const WeightDifference& one, const WeightDifference& two) {
                     return one.relative > two.relative;
                   });
  report::TextTable table({"weight", "relative difference"});
  for (std::size_t i = 0; i < std::min(rows, weights.size()); ++i) {
    table.add_row({weights[i].name, short_cell(weights[i].relative)});
  }
  return table.str();
}

Json history_json(const RunHistory& history) {
  Json json;
  json["steps"] = static_cast<std::int64_t>(history.losses.size());
  json["last_loss"] = history.losses.empty() || !std::isfinite(history.losses.back())
                          ? Json()
                          : Json(history.losses.back());
  json["skipped_steps"] = history.skipped;
  json["last_scale"] = history.scale;
  return json;
}

}  // namespace

std::string diff_text(const RunDifference& difference, std::size_t rows) {
  return "first: " + difference.a.string() + "\nsecond: " + difference.b.string() + "\n\n" +
         settings_text(difference) + "\n" + history_text(difference) + "\n" +
         ranges_text(difference, rows) + "\n" + weights_text(difference, rows) +
         "\nthe first run's weights under both policies\n" +
         lockstep_table(difference.operations).str() + "\n" +
         lockstep_summary(difference.operations) + "\n";
}

Json diff_json(const RunDifference& difference) {
  Json json;
  json["settings"] = Json::array();
  for (const SettingDifference& each : difference.settings) {
    Json row;
    row["key"] = each.key;
    row["first"] = each.a;
    row["second"] = each.b;
    json["settings"].push_back(std::move(row));
  }
  json["history"].push_back(history_json(difference.history_a));
  json["history"].push_back(history_json(difference.history_b));
  json["first_other_loss"] = difference.first_other_loss;
  json["range_step"] = difference.range_step;
  json["ranges"] = Json::array();
  for (const RangeDifference& each : difference.ranges) {
    Json row;
    row["kind"] = each.kind;
    row["name"] = each.name;
    row["amax"].push_back(each.amax_a);
    row["amax"].push_back(each.amax_b);
    json["ranges"].push_back(std::move(row));
  }
  json["weights"] = Json::object();
  for (const WeightDifference& each : difference.weights)
    json["weights"][each.name] = each.relative;
  json["lockstep"] = difference.operations.to_json();
  return json;
}

}  // namespace halftone::tasks
