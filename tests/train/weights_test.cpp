#include "halftone/train/weights.h"

#include <torch/torch.h>

#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

torch::nn::Sequential network(std::int64_t width, std::int64_t classes = 10) {
  return torch::nn::Sequential(torch::nn::Linear(4, width), torch::nn::BatchNorm1d(width),
                               torch::nn::Linear(width, classes));
}

TEST(Weights, NamesAreThoseOfParametersThenBuffers) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : named_weights(*network(8))) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.weight", "0.bias", "1.weight", "1.bias", "2.weight",
                                             "2.bias", "1.running_mean", "1.running_var",
                                             "1.num_batches_tracked"}));
}

TEST(Weights, FileLoadsIntoAnotherModuleOfTheSameShape) {
  Scratch scratch;
  auto from = network(8), to = network(8);
  write_safetensors(scratch / "w", named_weights(*from));
  load_weights(*to, scratch / "w");
  const auto expected = named_weights(*from), given = named_weights(*to);
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_TRUE(torch::equal(expected[i].second, given[i].second)) << expected[i].first;
}

TEST(Weights, HalfFileLoadsIntoAnFp32Module) {
  Scratch scratch;
  auto module = network(8);
  NamedTensors half;
  for (const auto& [name, tensor] : named_weights(*module))
    half.emplace_back(name, tensor.is_floating_point() ? tensor.to(torch::kHalf) : tensor);
  write_safetensors(scratch / "w", half);
  load_weights(*module, scratch / "w");
  EXPECT_EQ(module->parameters()[0].scalar_type(), torch::kFloat);
  EXPECT_TRUE(torch::equal(module->parameters()[0], half[0].second.to(torch::kFloat)));
}

TEST(Weights, AnotherModelIsAnErrorWithTheFirstThreeNamesAndShapesAndChangesNothing) {
  Scratch scratch;
  auto small = network(8), large = network(16, 5);
  write_safetensors(scratch / "w", named_weights(*small));
  const auto before = large->parameters()[0].clone();
  EXPECT_ERROR(load_weights(*large, scratch / "w"),
               "another model's weights: 0.weight [8, 4] (the model's is [16, 4]), 0.bias [8] (the "
               "model's is [16]), 1.weight [8] (the model's is [16]) and 5 more");
  EXPECT_TRUE(torch::equal(large->parameters()[0], before));
  auto other = torch::nn::Sequential(torch::nn::Linear(4, 8));
  EXPECT_ERROR(load_weights(*other, scratch / "w"),
               "1.bias [8] (the model has none), 1.num_batches_tracked [] (the model has none), "
               "1.running_mean [8] (the model has none) and 4 more");
  EXPECT_ERROR(set_weights(*other, {}, "x"),
               "x: another model's weights: 0.weight missing (the "
               "model's is [8, 4]), 0.bias missing");
}

}  // namespace
}  // namespace halftone
