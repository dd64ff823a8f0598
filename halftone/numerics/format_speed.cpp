#include "halftone/numerics/format_speed.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace halftone::numerics {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kFullSize = 16;  // units of work of the full problem
constexpr std::int64_t kMatrix = 1024;  // a unit is 64 rows of the left matrix
constexpr std::int64_t kChannels = 64;  // a unit is one image
constexpr std::int64_t kImage = 28;
constexpr std::size_t kMostRounds = 15;

constexpr double kMatmulUnit = 2.0 * kMatrix * kMatrix * (kMatrix / kFullSize);
constexpr double kConvUnit = 2.0 * 9 * kChannels * kChannels * kImage * kImage;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One format of one workload.
struct Cell {
  std::size_t speed = 0;  // index into the result
  Workload workload = Workload::matmul;
  std::int64_t units = kFullSize;
  std::function<void()> run;
  std::vector<double> gflops{};
  double spent = 0;

  double operations() const {
    const double unit = workload == Workload::matmul ? kMatmulUnit : kConvUnit;
    return unit * static_cast<double>(units) * (workload == Workload::conv_backward ? 2 : 1);
  }
  double measure() {
    const auto start = Clock::now();
    run();
    const double seconds = seconds_since(start);
    spent += seconds;
    return seconds;
  }
};

at::Tensor random(at::IntArrayRef shape, Format format, double deviation = 1) {
  at::Tensor tensor = at::randn(shape, at::TensorOptions().dtype(at::kFloat)) * deviation;
  if (tensor.dim() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
  return tensor.to(scalar_type(format));
}

std::function<void()> matmul(Format format, std::int64_t units) {
  const at::Tensor a = random({units * kMatrix / kFullSize, kMatrix}, format);
  const at::Tensor b = random({kMatrix, kMatrix}, format);
  return [=] { at::mm(a, b); };
}

std::function<void()> convolution(Format format, std::int64_t units, bool backward) {
  const at::Tensor x = random({units, kChannels, kImage, kImage}, format);
  const at::Tensor w = random({kChannels, kChannels, 3, 3}, format, 0.05);
  if (!backward) return [=] { at::conv2d(x, w, {}, 1, 1); };
  const at::Tensor dy = random({units, kChannels, kImage, kImage}, format);
  return [=] {
    at::convolution_backward(dy, x, w, at::IntArrayRef{0}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 1,
                             {true, true, false});
  };
}

void set_size(Cell& cell, Format format, std::int64_t units) {
  cell.units = units;
  cell.run = cell.workload == Workload::matmul
                 ? matmul(format, units)
                 : convolution(format, units, cell.workload == Workload::conv_backward);
}

// A half format without hardware can be hundreds of times slower: the size is chosen from one unit
// so that a call stays below `limit` seconds.
void choose_size(Cell& cell, Format format, double limit) {
  set_size(cell, format, 1);
  cell.measure();
  if (cell.spent > limit) {  // no time for another call: the first one counts
    cell.gflops.push_back(cell.operations() / cell.spent * 1e-9);
    return;
  }
  const double unit = cell.measure();
  const auto fitting = static_cast<std::int64_t>(limit / unit);
  set_size(cell, format, std::clamp<std::int64_t>(fitting, 1, kFullSize));
  cell.measure();  // warm
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

std::vector<Cell> make_cells(const SpeedOptions& options) {
  std::vector<Cell> cells;
  for (Workload workload : kWorkloads) {
    for (std::size_t i = 0; i < options.formats.size(); ++i) {
      cells.push_back({.speed = i, .workload = workload, .run = {}});
    }
  }
  return cells;
}

}  // namespace

const char* workload_name(Workload workload) {
  switch (workload) {
    case Workload::matmul:
      return "matmul 1024×1024";
    case Workload::conv_forward:
      return "conv 3×3 forward";
    case Workload::conv_backward:
      return "conv 3×3 backward";
  }
  return "?";
}

std::vector<FormatSpeed> measure_formats(const SpeedOptions& options) {
  const at::NoGradGuard no_grad;
  std::vector<Cell> cells = make_cells(options);
  const double share = options.seconds / static_cast<double>(cells.size());
  for (Cell& cell : cells) choose_size(cell, options.formats[cell.speed], share / 8);
  for (std::size_t round = 0; round < kMostRounds; ++round) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      Cell& cell = cells[(i + round) % cells.size()];  // another one begins each round
      if (cell.spent > share && !cell.gflops.empty()) continue;
      cell.gflops.push_back(cell.operations() / cell.measure() * 1e-9);
    }
  }
  std::vector<FormatSpeed> speeds;
  for (Format format : options.formats) speeds.push_back({format, {}});
  for (const Cell& cell : cells) {
    speeds[cell.speed].gflops[static_cast<std::size_t>(cell.workload)] = median(cell.gflops);
  }
  return speeds;
}

}  // namespace halftone::numerics
