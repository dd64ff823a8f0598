// A small problem with everything that a trainer can hold, for the trainer's tests.
#pragma once

#include <torch/torch.h>

#include <array>
#include <bit>
#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "halftone/data/loader.h"
#include "halftone/optim/adamw.h"
#include "halftone/optim/scheduler.h"
#include "halftone/precision/apply.h"
#include "halftone/train/trainer.h"

namespace halftone::rig {

// Images whose label can be read off their pixels; made from the index.
class Toy : public data::Dataset {
 public:
  explicit Toy(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  int64_t classes() const override { return 4; }
  std::array<int64_t, 3> image_shape() const override { return {1, 4, 4}; }
  at::Tensor image(int64_t index) const override {
    at::Tensor image = torch::empty({1, 4, 4}, torch::kByte);
    auto* pixels = image.data_ptr<std::uint8_t>();
    for (int64_t i = 0; i < 16; ++i)
      pixels[i] = static_cast<std::uint8_t>((index * 37 + i * i * 11 + (index + i) % 7 * 20) % 100 +
                                            (i / 4 == label(index) ? 150 : 0));
    return image;
  }
  int64_t label(int64_t index) const override { return index * 7 % 4; }

 private:
  int64_t size_;
};

// Dropout draws from the generator, batch norm has buffers.
struct Net : torch::nn::Module {
  Net() {
    first = register_module("first", torch::nn::Linear(16, 24));
    norm = register_module("norm", torch::nn::BatchNorm1d(24));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
    last = register_module("last", torch::nn::Linear(24, 4));
  }
  at::Tensor forward(const at::Tensor& x) {
    return last(dropout(torch::relu(norm(first(x.flatten(1))))));
  }
  torch::nn::Linear first{nullptr}, last{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
  torch::nn::Dropout dropout{nullptr};
};

struct Setup {
  std::string policy = "fp32";
  int64_t samples = 100, batch = 16;
  bool scheduler = true;
  std::function<void(TrainerParts&)> change = {};
};

inline at::Tensor cross_entropy(const at::Tensor& output, const at::Tensor& target) {
  return torch::nn::functional::cross_entropy(output, target);
}

inline std::shared_ptr<data::Loader> make_loader(int64_t samples, int64_t batch, bool shuffle) {
  data::LoaderOptions options;
  options.batch = batch;
  options.shuffle = shuffle;
  options.seed = 5;
  return std::make_shared<data::Loader>(std::make_shared<Toy>(samples), options);
}

inline std::shared_ptr<optim::AdamW> make_optimizer(const Policy& policy,
                                                    const torch::nn::Module& net) {
  optim::AdamWOptions adam;
  adam.lr = 0.01;
  adam.storage = is_half(policy.compute) && policy.weights != WeightStorage::fp32
                     ? policy.weights
                     : WeightStorage::half_master;
  return std::make_shared<optim::AdamW>(net.parameters(), adam);
}

inline TrainerOptions options_of(std::int64_t epochs) {
  TrainerOptions options;
  options.epochs = epochs;
  options.handle_signals = false;
  return options;
}

// The same bits every time.
inline std::shared_ptr<Trainer> make_trainer(const TrainerOptions& options,
                                             const Setup& setup = {}) {
  at::set_num_threads(1);  // operations this small only lose by a second thread
  torch::manual_seed(11);
  auto net = std::make_shared<Net>();
  TrainerParts parts;
  parts.policy = Policy::preset(setup.policy);
  halftone::apply(parts.policy, *net);
  parts.module = net;
  parts.forward = [net](const at::Tensor& input) { return net->forward(input); };
  parts.loss = cross_entropy;
  parts.optimizer = make_optimizer(parts.policy, *net);
  if (setup.scheduler)
    parts.scheduler = std::make_shared<optim::CosineLr>(*parts.optimizer, 40, 0.1);
  parts.train = make_loader(setup.samples, setup.batch, true);
  parts.evaluation = make_loader(40, 16, false);
  if (setup.change) setup.change(parts);
  return std::make_shared<Trainer>(std::move(parts), options);
}

// "" where two states are the same bit for bit, else where they first differ.
inline std::string difference(const c10::IValue& a, const c10::IValue& b,
                              const std::string& where = "state") {
  if (a.isTensor() && b.isTensor()) {
    const auto x = a.toTensor(), y = b.toTensor();
    if (x.scalar_type() != y.scalar_type() || x.sizes() != y.sizes()) return where + ": shape";
    const auto bytes = [](const at::Tensor& t) {
      const auto flat = t.contiguous().reshape(-1);
      return std::string(static_cast<const char*>(flat.const_data_ptr()), flat.nbytes());
    };
    return bytes(x) == bytes(y) ? "" : where + ": values";
  }
  if (a.isGenericDict() && b.isGenericDict()) {
    const auto x = a.toGenericDict(), y = b.toGenericDict();
    if (x.size() != y.size()) return where + ": number of keys";
    for (const auto& entry : x) {
      std::ostringstream name;
      name << where << "." << entry.key();
      if (!y.contains(entry.key())) return name.str() + ": missing";
      const auto found = difference(entry.value(), y.at(entry.key()), name.str());
      if (!found.empty()) return found;
    }
    return "";
  }
  if (a.isList() && b.isList()) {
    const auto x = a.toListRef(), y = b.toListRef();
    if (x.size() != y.size()) return where + ": length";
    for (std::size_t i = 0; i < x.size(); ++i) {
      const auto found = difference(x[i], y[i], where + "[" + std::to_string(i) + "]");
      if (!found.empty()) return found;
    }
    return "";
  }
  if (a.isDouble() && b.isDouble())
    return std::bit_cast<std::uint64_t>(a.toDouble()) == std::bit_cast<std::uint64_t>(b.toDouble())
               ? ""
               : where + ": " + std::to_string(a.toDouble()) + ", " + std::to_string(b.toDouble());
  return a == b ? "" : where;
}

// Everything but how long evaluations took.
inline StateDict timeless(const StateDict& state) {
  for (const char* key : {"last", "best"})
    state.at(key).toGenericDict().insert_or_assign(std::string("seconds"), 0.0);
  return state;
}

// Records what it is told.
struct Recorder : Callback {
  void on_start(const RunInfo& run) override { starts.push_back(run); }
  void on_step(const StepInfo& step) override {
    steps.push_back(step);
    if (at_step) at_step(step);
  }
  void on_evaluation(const Evaluation& evaluation) override { evaluations.push_back(evaluation); }
  void on_checkpoint(std::int64_t step, const std::filesystem::path&) override {
    checkpoints.push_back(step);
  }
  void on_end(const TrainResult& result) override { ends.push_back(result); }

  std::vector<RunInfo> starts;
  std::vector<StepInfo> steps;
  std::vector<Evaluation> evaluations;
  std::vector<std::int64_t> checkpoints;
  std::vector<TrainResult> ends;
  std::function<void(const StepInfo&)> at_step;
};

}  // namespace halftone::rig
