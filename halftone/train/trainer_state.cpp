#include <torch/serialize.h>

#include <cstring>
#include <sstream>
#include <utility>

#include "halftone/base/error.h"
#include "halftone/ops/generator.h"
#include "halftone/ops/state_reader.h"
#include "halftone/optim/master_optimizer.h"
#include "halftone/precision/emulated_layers.h"
#include "halftone/train/objective.h"
#include "halftone/train/trainer_impl.h"
#include "halftone/train/weights.h"

namespace halftone {
namespace {

constexpr std::int64_t kVersion = 2;

StateDict to_dict(const NamedTensors& tensors) {
  StateDict result = make_state_dict();
  for (const auto& [name, tensor] : tensors) result.insert(name, tensor.clone());
  return result;
}

NamedTensors to_tensors(const StateDict& dict) {
  NamedTensors result;
  for (const auto& entry : dict)
    if (entry.value().isTensor()) result.emplace_back(entry.key(), entry.value().toTensor());
  return result;
}

// Another's optimizer has a state of no known layout: LibTorch's own archive, as bytes.
StateDict save_optimizer(const torch::optim::Optimizer& optimizer) {
  if (const auto* ours = dynamic_cast<const optim::MasterOptimizer*>(&optimizer))
    return ours->state_dict();
  std::ostringstream stream;
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  archive.save_to(stream);
  const std::string bytes = stream.str();
  at::Tensor content = torch::empty({static_cast<std::int64_t>(bytes.size())}, torch::kByte);
  std::memcpy(content.data_ptr(), bytes.data(), bytes.size());
  StateDict result = make_state_dict();
  result.insert("archive", content);
  return result;
}

void load_optimizer(torch::optim::Optimizer& optimizer, const StateDict& state) {
  if (auto* ours = dynamic_cast<optim::MasterOptimizer*>(&optimizer))
    return ours->load_state_dict(state);
  StateReader reader(state, "optimizer");
  const at::Tensor content = reader.tensor("archive");
  reader.finish();
  torch::serialize::InputArchive archive;
  archive.load_from(static_cast<const char*>(content.const_data_ptr()),
                    static_cast<std::size_t>(content.numel()));
  optimizer.load(archive);
}

StateDict save_evaluation(const Evaluation& evaluation) {
  StateDict result = make_state_dict();
  result.insert("step", evaluation.step);
  result.insert("epoch", evaluation.epoch);
  result.insert("samples", evaluation.samples);
  result.insert("loss", evaluation.loss);
  StateDict values = make_state_dict();
  for (const auto& [kind, value] : evaluation.metrics) values.insert(kind.name, value);
  result.insert("metrics", values);
  result.insert("seconds", evaluation.seconds);
  result.insert("best", evaluation.best);
  return result;
}

// kinds: the metrics that the saved values may be of.
Evaluation load_evaluation(const StateDict& state, const std::vector<metrics::MetricKind>& kinds,
                           const std::string& where) {
  StateReader reader(state, where);
  Evaluation result;
  result.step = reader.integer("step");
  result.epoch = reader.integer("epoch");
  result.samples = reader.integer("samples");
  result.loss = reader.number("loss");
  const StateDict saved = reader.dict("metrics");
  StateReader values(saved, where + ".metrics");
  for (const auto& kind : kinds)
    if (values.has(kind.name)) result.metrics.push_back({kind, values.number(kind.name)});
  values.finish();
  result.seconds = reader.number("seconds");
  result.best = reader.boolean("best");
  reader.finish();
  return result;
}

bool remembers_amaxes(const Policy& policy) {
  return policy.emulation.active() && policy.emulation.scaling == EmulationScaling::delayed;
}

StateDict save_phases(const std::vector<TrainerPhase>& phases) {
  StateDict result = make_state_dict();
  for (std::size_t i = 0; i < phases.size(); ++i) {
    StateDict phase = make_state_dict();
    phase.insert("optimizer", save_optimizer(*phases[i].optimizer));
    if (phases[i].scheduler) phase.insert("scheduler", phases[i].scheduler->state_dict());
    result.insert(std::to_string(i + 1), phase);
  }
  return result;
}

// A part of the state that is there if and only if the trainer has that part.
template <class Load>
void load_part(StateReader& reader, const char* key, bool present, Load load) {
  if (reader.has(key) != present)
    throw Error(std::string(present ? "no " : "a ") + key, present ? "one" : "none",
                "trainer state");
  if (present) load(reader.dict(key));
}

void load_phases(std::vector<TrainerPhase>& phases, const StateDict& state) {
  StateReader reader(state, "trainer state.later_phases");
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const StateDict saved = reader.dict(std::to_string(i + 1));
    StateReader phase(saved, "trainer state.later_phases." + std::to_string(i + 1));
    load_optimizer(*phases[i].optimizer, phase.dict("optimizer"));
    load_part(phase, "scheduler", phases[i].scheduler != nullptr,
              [&](const StateDict& part) { phases[i].scheduler->load_state_dict(part); });
    phase.finish();
  }
  reader.finish();
}

}  // namespace

StateDict Trainer::Impl::state_dict() const {
  if (micro)
    throw Error("state_dict() amid a step of several micro-batches", "between steps", "trainer");
  StateDict state = make_state_dict();
  state.insert("version", kVersion);
  state.insert("steps", steps);
  state.insert("skipped", skipped);
  state.insert("epochs", epochs);
  state.insert("since_better", since_better);
  state.insert("evaluation_due", evaluation_due);
  state.insert("last", save_evaluation(last));
  state.insert("best", save_evaluation(best));
  state.insert("policy", parts.policy.name);
  state.insert("model", to_dict(named_weights(*parts.module)));
  state.insert("optimizer", save_optimizer(*parts.optimizer));
  state.insert("scaler", scaler.state_dict());
  if (parts.scheduler) state.insert("scheduler", parts.scheduler->state_dict());
  if (phases > 1) state.insert("later_phases", save_phases(parts.later_phases));
  if (ema) state.insert("ema", ema->state_dict());
  if (lookahead) state.insert("lookahead", lookahead->state_dict());
  if (remembers_amaxes(parts.policy))
    state.insert("emulation", save_layer_histories(*parts.module));
  if (dynamic) state.insert("dynamic", dynamic->state_dict());
  if (calibrated) state.insert("calibrate", calibrated->state_dict());
  if (parts.train) state.insert("loader", parts.train->state_dict());
  StateDict generators = make_state_dict();
  generators.insert("cpu", generator_state());
  if (!device.is_cpu()) generators.insert("device", generator_state(device));
  state.insert("generators", generators);
  return state;
}

// Weights come first: what is wrong with another model's checkpoint is that it is another model's.
void Trainer::Impl::load(const StateDict& state, const std::string& where) {
  StateReader reader(state, where);
  if (const auto version = reader.integer("version"); version != kVersion)
    throw Error("version " + std::to_string(version), std::to_string(kVersion), where);
  reader.text("policy");
  set_weights(*parts.module, to_tensors(reader.dict("model")), where);
  load_optimizer(*parts.optimizer, reader.dict("optimizer"));
  scaler.load_state_dict(reader.dict("scaler"));
  load_part(reader, "scheduler", parts.scheduler != nullptr,
            [&](const StateDict& part) { parts.scheduler->load_state_dict(part); });
  load_part(reader, "later_phases", phases > 1,
            [&](const StateDict& part) { load_phases(parts.later_phases, part); });
  load_part(reader, "ema", ema != nullptr,
            [&](const StateDict& part) { ema->load_state_dict(part); });
  load_part(reader, "lookahead", lookahead != nullptr,
            [&](const StateDict& part) { lookahead->load_state_dict(part); });
  load_part(reader, "emulation", remembers_amaxes(parts.policy),
            [&](const StateDict& part) { load_layer_histories(*parts.module, part); });
  load_part(reader, "dynamic", dynamic.has_value(),
            [&](const StateDict& part) { dynamic->load_state_dict(part); });
  load_part(reader, "calibrate", calibrated.has_value(),
            [&](const StateDict& part) { calibrated->load_state_dict(part); });
  follow_moves();
  load_part(reader, "loader", parts.train != nullptr,
            [&](const StateDict& part) { parts.train->load_state_dict(part); });
  const auto kinds = parts.objective->metrics();
  last = load_evaluation(reader.dict("last"), kinds, "trainer state.last");
  best = load_evaluation(reader.dict("best"), kinds, "trainer state.best");
  steps = reader.integer("steps");
  skipped = reader.integer("skipped");
  epochs = reader.integer("epochs");
  since_better = reader.integer("since_better");
  evaluation_due = reader.boolean("evaluation_due") && parts.evaluation;
  const StateDict generators = reader.dict("generators");
  reader.finish();
  set_generator_state(generators.at("cpu").toTensor());
  if (!device.is_cpu() && generators.contains("device"))
    set_generator_state(generators.at("device").toTensor(), device);
  parts.optimizer->zero_grad();
  checkpoint_due = false;
}

at::Tensor Trainer::Impl::master(const at::Tensor& parameter) const {
  if (!c10::isReducedFloatingType(parameter.scalar_type())) return parameter;
  for (std::int64_t phase = 0; phase < phases; ++phase) {
    const TrainerPhase trained = at_phase(phase);
    const auto* masters = dynamic_cast<const optim::MasterOptimizer*>(trained.optimizer.get());
    if (!masters) continue;
    for (const auto& group : trained.optimizer->param_groups())
      for (const at::Tensor& each : group.params())
        if (each.is_same(parameter)) return masters->master(parameter);
  }
  return parameter;
}

NamedTensors Trainer::Impl::full_weights() const {
  return ema ? ema->averages() : master_weights();
}

NamedTensors Trainer::Impl::master_weights() const {
  NamedTensors result;
  for (const auto& item : parts.module->named_parameters())
    if (item.value().defined()) result.emplace_back(item.key(), master(item.value()).detach());
  for (const auto& item : parts.module->named_buffers())
    if (item.value().defined()) result.emplace_back(item.key(), item.value().detach());
  return result;
}

StateDict Trainer::state_dict() const { return impl_->state_dict(); }

void Trainer::load_state_dict(const StateDict& state) {
  if (impl_->micro)
    throw Error("load_state_dict() amid a step of several micro-batches", "between steps",
                "trainer");
  const StateDict before = impl_->state_dict();
  try {
    impl_->load(state, "trainer state");
  } catch (...) {
    impl_->load(before, "trainer state");
    throw;
  }
}

bool Trainer::resume() {
  if (!impl_->store) throw UsageError("no directory", "options.out", "trainer, resume()");
  const auto found = impl_->store->newest();
  if (!found) return false;
  impl_->load(found->state, found->path.string());
  impl_->resumed = true;
  return true;
}

void Trainer::save_weights(const std::filesystem::path& path) const {
  const auto format = scalar_type(impl_->parts.policy.save);
  NamedTensors weights = impl_->full_weights();
  for (auto& [name, tensor] : weights)
    if (tensor.is_floating_point()) tensor = tensor.to(format);
  write_safetensors(path, weights,
                    {{"format", "pt"},
                     {"policy", impl_->parts.policy.name},
                     {"step", std::to_string(impl_->steps)}});
}

}  // namespace halftone
