#include "halftone/numerics/operation_watch.h"

#include <ATen/Parallel.h>
#include <ATen/ThreadLocalState.h>
#include <ATen/record_function.h>
#include <torch/torch.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <thread>

#include "halftone/numerics/fault_finder.h"
#include "tests/support/test.h"

namespace halftone::numerics {
namespace {

struct Listener final : OperationSink {
  void begin(OperationCall& call) override {
    if (call.name == throw_at) throw std::runtime_error("the sink's own");
    names.push_back(call.name);
  }
  void end(OperationCall&, const std::vector<at::Tensor>&) override { ++ended; }
  bool saw(const std::string& name) const {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  std::vector<std::string> names;
  std::size_t ended = 0;
  std::string throw_at;
};

at::Tensor leaf() { return torch::rand({3, 3}).requires_grad_(); }

TEST(OperationWatch, SeesForwardAndBackwardAndNothingAfterIt) {
  const auto listener = std::make_shared<Listener>();
  const at::Tensor x = leaf();
  {
    const OperationWatch watch(listener);
    torch::mm(x, x).sum().backward();
    watch.rethrow();
  }
  for (const char* name : {"mm", "sum", "MmBackward0", "AccumulateGrad"})
    EXPECT_TRUE(listener->saw(name)) << name;
  EXPECT_EQ(listener->ended, listener->names.size());
  const std::size_t seen = listener->names.size();
  torch::mm(x, x);
  EXPECT_EQ(listener->names.size(), seen);
  EXPECT_TRUE(!at::hasCallbacks());
}

TEST(OperationWatch, ExceptionInAWatchedForwardLeavesNoStateBehind) {
  const auto listener = std::make_shared<Listener>();
  try {
    const OperationWatch watch(listener);
    torch::mm(torch::rand({2, 3}), torch::rand({2, 3}));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const c10::Error&) {
  }
  EXPECT_TRUE(listener->saw("mm"));
  EXPECT_EQ(listener->ended, listener->names.size());
  EXPECT_TRUE(!at::hasCallbacks());
  const auto second = std::make_shared<Listener>();
  const OperationWatch watch(second);
  torch::exp(torch::rand({2}));
  EXPECT_TRUE(second->saw("exp"));
  EXPECT_EQ(second->ended, second->names.size());
}

TEST(OperationWatch, SinkThatThrowsDoesNotDisturbTheProgramAndIsHeardOf) {
  const auto listener = std::make_shared<Listener>();
  listener->throw_at = "mm";
  const OperationWatch watch(listener);
  const at::Tensor x = leaf();
  torch::mm(x, x).sum().backward();
  EXPECT_TRUE(x.grad().defined());
  EXPECT_THROW(watch.rethrow(), std::runtime_error);
  EXPECT_TRUE(!listener->saw("sum"));  // not called again
}

TEST(OperationWatch, InnerOneTakesThePlaceOfTheOuterOne) {
  const auto outer = std::make_shared<Listener>(), inner = std::make_shared<Listener>();
  const OperationWatch first(outer);
  {
    const OperationWatch second(inner);
    torch::exp(torch::rand({2}));
  }
  torch::log(torch::rand({2}));
  EXPECT_TRUE(inner->saw("exp") && !inner->saw("log") && !outer->saw("exp") && outer->saw("log"));
  EXPECT_EQ(std::count(inner->names.begin(), inner->names.end(), "exp"), 1);
}

TEST(OperationWatch, OtherThreadsAreNotWatchedAndOnesThatCarryItsStateMayOutliveIt) {
  const auto listener = std::make_shared<Listener>();
  std::promise<void> carried, over;
  std::thread carrier;
  {
    const OperationWatch watch(listener);
    std::thread stranger([] { torch::exp(torch::rand({2})); });
    stranger.join();
    carrier = std::thread([&, state = at::ThreadLocalState()] {
      const at::ThreadLocalStateGuard guard(state);
      torch::log(torch::rand({2}));
      carried.set_value();
      over.get_future().wait();
      torch::sin(torch::rand({2}));
    });
    carried.get_future().wait();
  }
  over.set_value();
  carrier.join();
  EXPECT_TRUE(!listener->saw("exp"));
  EXPECT_TRUE(listener->saw("log"));
  EXPECT_TRUE(!listener->saw("sin"));
}

// What kernels of autograd call is LibTorch's own affair; what a program calls is seen once.
TEST(OperationWatch, SeesOperationsAtTheLevelOfAutograd) {
  const auto listener = std::make_shared<Listener>();
  const at::Tensor x = torch::rand({1, 2, 4, 4}).requires_grad_(), w = torch::rand({2, 2, 3, 3});
  const OperationWatch watch(listener);
  torch::conv2d(x, w);
  EXPECT_EQ(listener->names, (std::vector<std::string>{"conv2d", "convolution"}));
}

TEST(FaultFinder, ModuleWithoutParametersIsWatchedToo) {
  torch::nn::Module empty("Empty");
  const auto finder = std::make_shared<FaultFinder>(empty);
  const at::Tensor x = torch::ones({4});
  at::Tensor result;
  {
    const OperationWatch watch(finder);
    finder->begin_pass(0, {{x, "batch input"}});
    result = (x * 200).exp();
  }
  EXPECT_EQ(finder->fault({result})->name, "input · exp");
  EXPECT_TRUE(!finder->fault({x}).has_value());
}

TEST(FaultFinder, ScopesNameWhatHasNoParameter) {
  torch::nn::Linear layer(4, 4);
  const auto finder = std::make_shared<FaultFinder>(*layer);
  const at::Tensor target = torch::zeros({4});  // of the batch, which names no operation
  at::Tensor result;
  {
    const OperationWatch watch(finder);
    finder->begin_pass(0, {{target, "batch target"}});
    const at::Tensor h = layer(torch::ones({2, 4}));
    RECORD_USER_SCOPE("attention scores");
    result = h / target;
  }
  EXPECT_EQ(finder->fault({result})->name, "attention scores · div");
}

}  // namespace
}  // namespace halftone::numerics
