// Writes what tests/python/test_{safetensors,checkpoint,tensorboard}.py read, below
// HALFTONE_EXCHANGE where it is set, else into a scratch directory.
#include <torch/torch.h>

#include <cstdlib>

#include "halftone/train/callbacks.h"
#include "halftone/train/checkpoint.h"
#include "halftone/train/safetensors.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

class Exchange {
 public:
  Exchange() {
    if (const char* given = std::getenv("HALFTONE_EXCHANGE"))
      path_ = given;
    else
      path_ = scratch_.path();
  }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  Scratch scratch_;
  std::filesystem::path path_;
};

NamedTensors tensors() {
  NamedTensors result;
  for (auto type : {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong})
    result.emplace_back(c10::toString(type), torch::arange(-3, 3).reshape({2, 3}).to(type));
  result.emplace_back(
      "nhwc", torch::arange(24.0).reshape({1, 2, 3, 4}).contiguous(at::MemoryFormat::ChannelsLast));
  result.emplace_back("odd", torch::ones(3, torch::kHalf));
  result.emplace_back("scalar", torch::tensor(int64_t{7}));
  return result;
}

TEST(Exchange, SafetensorsForPython) {
  const Exchange exchange;
  write_safetensors(exchange / "weights.safetensors", tensors(), {{"writer", "halftone \"c++\""}});
  EXPECT_TRUE(std::filesystem::exists(exchange / "weights.safetensors"));
}

TEST(Exchange, CheckpointForPython) {
  const Exchange exchange;
  StateDict model = make_state_dict();
  for (const auto& [name, tensor] : tensors()) model.insert(name, tensor);
  StateDict state = make_state_dict();
  state.insert("model", model);
  state.insert("step", 5);
  state.insert("scale", 65536.0);
  state.insert("name", std::string("fp16"));
  state.insert("flag", false);
  state.insert("betas", c10::List<double>({0.9, 0.999}));
  write_checkpoint(exchange / "checkpoint.pt", state);
  EXPECT_EQ(read_checkpoint(exchange / "checkpoint.pt").at("step").toInt(), 5);
}

TEST(Exchange, EventsForTensorBoard) {
  const Exchange exchange;
  const auto run = [&](std::int64_t first, std::int64_t last) {
    TensorBoardLog log(exchange / "events");
    RunInfo info;
    info.first_step = first;
    log.on_start(info);
    for (std::int64_t step = first + 1; step <= last; ++step) {
      StepInfo each;
      each.step = step;
      each.loss = 1.0 / static_cast<double>(step);
      each.scale = 65536;
      each.applied = true;
      log.on_step(each);
    }
    Evaluation evaluation;
    evaluation.step = last;
    evaluation.metrics = {{metrics::accuracy_kind(), 0.5}};
    log.on_evaluation(evaluation);
  };
  run(0, 8);   // killed after step 8, its last checkpoint of step 5
  run(5, 10);  // resumed
  EXPECT_TRUE(std::filesystem::exists(exchange / "events"));
}

}  // namespace
}  // namespace halftone
