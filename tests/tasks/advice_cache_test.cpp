#include "halftone/tasks/advice_cache.h"

#include <ATen/Parallel.h>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"
#include "tests/tasks/striped_images.h"

namespace halftone::tasks {
namespace {

std::vector<std::string>& cache_warnings() {
  static std::vector<std::string> lines;
  return lines;
}

struct WarningsHeard {
  WarningsHeard() { cache_warnings().clear(); }
  ~WarningsHeard() { set_log_sink(before); }
  LogSink before = set_log_sink(
      [](std::string_view, std::string_view line) { cache_warnings().emplace_back(line); });
};

TaskAdvice advice_for(const Policy& policy) {
  TaskAdvice advice;
  advice.config = small_config("fp32");
  advice.config.policy = policy;
  advice.arms.emplace_back().advice.policy = policy;
  advice.reason = "it was measured";
  return advice;
}

TEST(AdviceCache, GivesBackWhatWasSavedForThatKeyAlone) {
  const Scratch scratch;
  const auto directory = scratch / "not/there/yet";
  EXPECT_FALSE(load_advice(directory, "key").has_value());
  Policy policy = Policy::preset("fp16");
  policy.loss_scale.init = 512;
  save_advice(directory, "key", advice_for(policy));
  const auto found = load_advice(directory, "key");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->policy, policy);
  EXPECT_EQ(found->reason, "it was measured");
  EXPECT_FALSE(load_advice(directory, "another key").has_value());
  save_advice(directory, "key", advice_for(Policy::preset("bf16")));
  EXPECT_EQ(load_advice(directory, "key")->policy.name, "bf16");
  EXPECT_EQ(scratch.names("not/there/yet").size(), 1u);
}

TEST(AdviceCache, AnEntryThatCannotBeReadIsLeftAsideWithAWord) {
  const Scratch scratch;
  save_advice(scratch.path(), "key", advice_for(Policy::preset("bf16")));
  const auto path = scratch / scratch.names()[0];
  const std::string whole = read_file(path);
  std::string format = whole;
  format.replace(format.find("\\\"bf16\\\""), 8, "\\\"bf61\\\"");
  for (const std::string& torn : {std::string(), whole.substr(0, whole.size() / 2), format,
                                  std::string("{\"key\": 1}"), std::string("[]")}) {
    write_file(path, torn);
    const WarningsHeard heard;
    EXPECT_FALSE(load_advice(scratch.path(), "key").has_value()) << torn;
    ASSERT_EQ(cache_warnings().size(), 1u) << torn;
    EXPECT_NE(cache_warnings()[0].find(path.string() + " is left aside: "), std::string::npos)
        << cache_warnings()[0];
  }
  // Another key of the same hash is no mistake.
  const WarningsHeard heard;
  write_file(path, "{\"key\": \"another\"}");
  EXPECT_FALSE(load_advice(scratch.path(), "key").has_value());
  EXPECT_TRUE(cache_warnings().empty());
}

TEST(AdviceCache, KeyTellsNetworksShapesAndMachinesApart) {
  const auto data = striped_images(64);
  const RunConfig config = small_config("fp32");
  const std::string key = advice_key(config, *data);
  RunConfig same = small_config("bf16");
  same.seed = 5;
  same.lr = 0.01;
  EXPECT_EQ(advice_key(same, *data), key);
  RunConfig other = config;
  other.batch = 16;
  EXPECT_NE(advice_key(other, *data), key);
  other = config;
  other.model = "cnn";
  EXPECT_NE(advice_key(other, *data), key);
  const int threads = at::get_num_threads();
  at::set_num_threads(threads + 1);
  EXPECT_NE(advice_key(config, *data), key);
  at::set_num_threads(threads);
  EXPECT_NE(key.find("\nlibtorch "), std::string::npos);
}

}  // namespace
}  // namespace halftone::tasks
