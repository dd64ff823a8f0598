#include <cmath>
#include <cstdio>
#include <memory>

#include "halftone/base/json.h"
#include "halftone/base/text.h"
#include "halftone/cli/checks.h"
#include "halftone/cli/command.h"
#include "halftone/numerics/format_speed.h"
#include "halftone/numerics/kernel_service.h"
#include "halftone/numerics/machine.h"
#include "halftone/ops/enable.h"
#include "halftone/report/text_table.h"

namespace halftone::cli {
namespace {

using numerics::FormatAdvice;
using numerics::FormatSpeed;
using numerics::Machine;

constexpr const char* kKeys[] = {"matmul_gflops", "conv_forward_gflops", "conv_backward_gflops"};

Json json_list(const std::vector<std::string>& words) {
  Json list = Json::array();
  for (const auto& word : words) list.push_back(word);
  return list;
}

Json to_json(const Machine& machine, const std::vector<FormatSpeed>& speeds,
             const FormatAdvice& advice) {
  Json json;
  json["halftone"] = machine.halftone_version;
  json["libtorch"] = machine.libtorch_version;
  json["cpu"] = machine.cpu;
  json["features"] = json_list(machine.features);
  json["rung"] = machine.rung;
  json["rungs"] = json_list(machine.rungs);
  json["libtorch_capability"] = machine.libtorch_capability;
  json["onednn"] = machine.onednn;
  json["threads"] = machine.threads;
  json["cuda_devices"] = machine.cuda_devices;
  json["load"] = machine.load;
  Json formats = Json::array();
  for (const FormatSpeed& speed : speeds) {
    Json format;
    format["name"] = format_name(speed.format);
    for (std::size_t i = 0; i < speed.gflops.size(); ++i) format[kKeys[i]] = speed.gflops[i];
    const auto ratio = numerics::ratio_to_fp32(speeds, speed.format);
    format["matmul_speedup"] = ratio.matmul;
    format["conv_speedup"] = ratio.convolution;
    formats.push_back(std::move(format));
  }
  json["formats"] = std::move(formats);
  Json operations_json = Json::array();
  for (const OperationState& each : operations()) {
    Json operation;
    operation["name"] = each.name;
    operation["enabled"] = each.enabled;
    operations_json.push_back(std::move(operation));
  }
  json["operations"] = std::move(operations_json);
  Json kernels = Json::array();
  for (const auto& each : numerics::kernel_services()) {
    Json kernel;
    kernel["name"] = each.kernel;
    kernel["rung"] = each.rung;
    kernel["refused"] = json_list(each.refused);
    kernels.push_back(std::move(kernel));
  }
  json["kernels"] = std::move(kernels);
  json["advice"] = advice.advice;
  json["warnings"] = json_list(advice.warnings);
  return json;
}

std::string cell(double gflops, double fp32) {
  char text[64];
  std::snprintf(text, sizeof text, gflops < 10 ? "%.2f (%.2f×)" : "%.0f (%.2f×)", gflops,
                gflops / fp32);
  return text;
}

void print_machine(std::ostream& out, const Machine& machine) {
  out << "Halftone  " << machine.halftone_version << "\n"
      << "LibTorch  " << machine.libtorch_version << ", kernels for " << machine.libtorch_capability
      << (machine.onednn ? ", oneDNN" : ", no oneDNN") << "\n"
      << "CPU       " << machine.cpu << ", " << machine.threads
      << (machine.threads == 1 ? " thread\n" : " threads\n") << "features  "
      << join(machine.features, " ") << "\n";
  if (!machine.missing_features.empty()) {
    out << "          without " << join(machine.missing_features, " ") << "\n";
  }
  out << "rung      " << machine.rung << " (of " << join(machine.rungs, " ") << ")\n";
  out << "CUDA      ";
  if (machine.cuda_devices) {
    out << machine.cuda_devices << " device(s)\n";
  } else {
    out << "none\n";
  }
  out << "formats   fp64 fp32 bf16 fp16\n\n";
}

void print_kernels(std::ostream& out) {
  std::vector<std::string> on, off;
  for (const OperationState& each : operations()) (each.enabled ? on : off).push_back(each.name);
  out << "serves    " << join(on, " ") << "\n";
  if (!off.empty()) out << "not       " << join(off, " ") << " (HALFTONE_DISABLE)\n";
  report::TextTable table({"kernel", "rung", "faster ones refuse"});
  for (const auto& each : numerics::kernel_services()) {
    table.add_row({each.kernel, each.rung, join(each.refused, "; ")});
  }
  out << "\n" << table.str() << "\n";
}

void print_speeds(std::ostream& out, const std::vector<FormatSpeed>& speeds,
                  const FormatAdvice& advice) {
  std::vector<std::string> header{""};
  for (auto workload : numerics::kWorkloads) header.push_back(numerics::workload_name(workload));
  report::TextTable table(header);
  for (const FormatSpeed& speed : speeds) {
    std::vector<std::string> row{format_name(speed.format)};
    for (std::size_t i = 0; i < speed.gflops.size(); ++i) {
      row.push_back(cell(speed.gflops[i], speeds[0].gflops[i]));
    }
    table.add_row(row);
  }
  out << "Measured just now with Halftone's kernels on random data, in GFLOP/s (and against "
         "fp32):\n"
      << table.str() << "\nadvice    " << advice.advice << "\n";
  for (const auto& warning : advice.warnings) out << "warning   " << warning << "\n";
}

int doctor(Invocation& invocation, bool json, double seconds) {
  const Machine machine = numerics::this_machine();
  if (!json) {
    print_machine(invocation.out, machine);
    print_kernels(invocation.out);
  }
  invocation.out.flush();
  const auto speeds = numerics::measure_formats({.seconds = seconds});
  FormatAdvice advice = numerics::advise(speeds);
  if (machine.busy()) {
    advice.warnings.push_back("other programs were running (load about " +
                              std::to_string(std::lround(machine.load)) +
                              "): measure again when the machine is quiet");
  }
  if (json) {
    invocation.out << to_json(machine, speeds, advice).dump(2) << "\n";
  } else {
    print_speeds(invocation.out, speeds, advice);
  }
  return 0;
}

}  // namespace

void add_doctor(CLI::App& app, Invocation& invocation) {
  struct Options {
    bool json = false;
    double seconds = 12;
  };
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "doctor", "What this machine does with each number format, measured, and what to use");
  command->add_flag("--json", options->json, "Print JSON");
  command->add_option("--seconds", options->seconds, "Time for the measurements")
      ->check(positive_number())
      ->capture_default_str();
  command->callback([options, &invocation] {
    invocation.run = [options, &invocation] {
      return doctor(invocation, options->json, options->seconds);
    };
  });
}

}  // namespace halftone::cli
