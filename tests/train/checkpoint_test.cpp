#include "halftone/train/checkpoint.h"

#include <torch/torch.h>

#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

StateDict example(std::int64_t step = 3) {
  StateDict inner = make_state_dict();
  inner.insert("weight", torch::arange(6.0).reshape({2, 3}));
  inner.insert("half", torch::arange(6).to(torch::kHalf));
  c10::Dict<std::int64_t, std::string> numbered;
  numbered.insert(0, "zero");
  StateDict state = make_state_dict();
  state.insert("step", step);
  state.insert("scale", 0.1);
  state.insert("name", std::string("a\nb"));
  state.insert("flag", true);
  state.insert("ints", c10::List<std::int64_t>({1, 2}));
  state.insert("numbers", c10::List<double>({0.5, 2}));
  state.insert("model", inner);
  state.insert("numbered", numbered);
  return state;
}

void expect_example(const StateDict& state, std::int64_t step = 3) {
  EXPECT_EQ(state.at("step").toInt(), step);
  EXPECT_EQ(state.at("scale").toDouble(), 0.1);
  EXPECT_EQ(state.at("name").toStringRef(), "a\nb");
  EXPECT_TRUE(state.at("flag").toBool());
  EXPECT_EQ(state.at("ints").toIntVector(), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(state.at("numbers").toDoubleVector(), (std::vector<double>{0.5, 2}));
  const auto inner =
      c10::impl::toTypedDict<std::string, c10::IValue>(state.at("model").toGenericDict());
  EXPECT_TRUE(torch::equal(inner.at("weight").toTensor(), torch::arange(6.0).reshape({2, 3})));
  EXPECT_EQ(inner.at("half").toTensor().scalar_type(), torch::kHalf);
  EXPECT_EQ(state.at("numbered").toGenericDict().at(0).toStringRef(), "zero");
}

std::vector<std::string> g_warnings;

// Gathers warnings while it lives.
struct Warnings {
  Warnings() {
    g_warnings.clear();
    before = set_log_sink(
        [](std::string_view, std::string_view line) { g_warnings.emplace_back(line); });
  }
  ~Warnings() { set_log_sink(before); }
  LogSink before;
};

TEST(Checkpoint, StateReadsBackTheSame) {
  Scratch scratch;
  write_checkpoint(scratch / "x.pt", example());
  expect_example(read_checkpoint(scratch / "x.pt"));
}

TEST(Checkpoint, ViewIsWrittenWithoutTheRestOfItsStorage) {
  Scratch scratch;
  StateDict state = make_state_dict();
  const auto large = torch::arange(100000.0);
  state.insert("view", large.slice(0, 10, 20));
  write_checkpoint(scratch / "x.pt", state);
  EXPECT_TRUE(torch::equal(read_checkpoint(scratch / "x.pt").at("view").toTensor(),
                           large.slice(0, 10, 20)));
  EXPECT_LT(std::filesystem::file_size(scratch / "x.pt"), 10000u);
}

TEST(Checkpoint, StridesSurvive) {
  Scratch scratch;
  StateDict state = make_state_dict();
  state.insert("w", torch::randn({2, 3, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast));
  write_checkpoint(scratch / "x.pt", state);
  const auto read = read_checkpoint(scratch / "x.pt").at("w").toTensor();
  EXPECT_TRUE(read.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(read, state.at("w").toTensor()));
}

TEST(Checkpoint, EveryTruncationAndEveryFlippedByteIsDetected) {
  Scratch scratch;
  write_checkpoint(scratch / "x.pt", example());
  const std::string whole = read_file(scratch / "x.pt");
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 50) {
    write_file(scratch / "x.pt", whole.substr(0, size));
    EXPECT_ERROR(read_checkpoint(scratch / "x.pt"), "torn or foreign");
  }
  for (std::size_t at = 0; at < whole.size() - 24; at += 1 + whole.size() / 50) {
    std::string flipped = whole;
    flipped[at] ^= 0x10;
    write_file(scratch / "x.pt", flipped);
    EXPECT_ERROR(read_checkpoint(scratch / "x.pt"), "torn: checksum");
  }
  write_file(scratch / "x.pt", whole.substr(5));
  EXPECT_ERROR(read_checkpoint(scratch / "x.pt"), "torn: ");
}

TEST(Checkpoint, ForeignFileIsRefused) {
  Scratch scratch;
  torch::save(torch::ones(3), (scratch / "x.pt").string());
  EXPECT_ERROR(read_checkpoint(scratch / "x.pt"),
               "without Halftone's trailer; expected a checkpoint");
}

TEST(Checkpoint, FullDiskKeepsTheOldOneAndLeavesNoTemporary) {
  Scratch scratch;
  write_checkpoint(scratch / "x.pt", example());
  StateDict large = example();
  large.insert("large", torch::ones(100000));
  for (const int limit : {0, 100, 5000, 100000}) {  // in the pickle, in its first tensors, later
    SmallDisk disk(static_cast<rlim_t>(limit));
    EXPECT_ERROR(write_checkpoint(scratch / "x.pt", large), "x.pt: cannot write (File too large)");
  }
  expect_example(read_checkpoint(scratch / "x.pt"));
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"x.pt"});
}

TEST(CheckpointStore, KeepsTheLastOnesAndTheBest) {
  Scratch scratch;
  CheckpointStore store(scratch.path(), 2);
  store.prepare();
  store.write(1, example(1));
  store.write_best(example(1));
  for (const std::int64_t step : {9, 10, 100}) store.write(step, example(step));
  EXPECT_EQ(scratch.names(),
            (std::vector<std::string>{"best.pt", "step-00000010.pt", "step-00000100.pt"}));
  expect_example(store.newest()->state, 100);
  expect_example(read_checkpoint(scratch / "best.pt"), 1);
}

TEST(CheckpointStore, TornOneIsPassedOverWithAWarningAndTheOneBeforeItUsed) {
  Scratch scratch;
  CheckpointStore store(scratch.path(), 3);
  for (const std::int64_t step : {1, 2}) store.write(step, example(step));
  std::filesystem::resize_file(scratch / "step-00000002.pt", 1000);
  const Warnings warnings;
  expect_example(store.newest()->state, 1);
  EXPECT_EQ(g_warnings.size(), 1u);
  EXPECT_NE(g_warnings.at(0).find("step-00000002.pt"), std::string::npos) << g_warnings.at(0);
  // One that is torn does not push a whole one out.
  CheckpointStore(scratch.path(), 1).write(1, example(1));
  EXPECT_EQ(store.newest()->state.at("step").toInt(), 1);
}

TEST(CheckpointStore, BestIsTheLastResortAndNoneWholeIsAnError) {
  Scratch scratch;
  CheckpointStore store(scratch.path(), 3);
  EXPECT_TRUE(!store.newest().has_value());
  store.write(2, example(2));
  store.write_best(example(1));
  const Warnings warnings;
  std::filesystem::resize_file(scratch / "step-00000002.pt", 100);
  expect_example(store.newest()->state, 1);
  std::filesystem::resize_file(scratch / "best.pt", 100);
  EXPECT_ERROR(store.newest(), "2 checkpoints, none of them whole");
}

TEST(CheckpointStore, PrepareRemovesWhatAKilledRunLeftAndNamesAnUnwritablePlace) {
  Scratch scratch;
  write_file(scratch / "step-00000001.pt.tmp", "half");
  CheckpointStore(scratch.path(), 3).prepare();
  EXPECT_TRUE(scratch.names().empty());
  write_file(scratch / "file", "");
  EXPECT_ERROR(CheckpointStore(scratch / "file" / "checkpoints", 3).prepare(),
               "cannot create (Not a directory)");
}

}  // namespace
}  // namespace halftone
