#include "halftone/data/span_windows.h"

#include <ATen/Functions.h>

#include <numeric>

#include "tests/support/test.h"

namespace halftone::data {
namespace {

// A question of `question` tokens and a text of `text`, whose answer is its last two.
SpanWindow span_window(int64_t question, int64_t text) {
  SpanWindow window;
  window.tokens.resize(static_cast<size_t>(question + text + 3), 9);
  window.text_begin = question + 2;
  window.text_end = window.text_begin + text;
  window.first = window.text_end - 2;
  window.last = window.text_end - 1;
  return window;
}

at::Tensor row_of(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

TEST(SpanWindows, BatchesHaveMasksOfWhatIsThereAndOfTheTextAndTypes) {
  const SpanWindows windows({span_window(1, 3), span_window(2, 4)}, 5);
  const Batch batch = windows.build(std::vector<int64_t>{0, 1}, 0, 0);
  EXPECT_TRUE(at::equal(batch.input[0], row_of({9, 9, 9, 9, 9, 9, 9, 5, 5})));
  EXPECT_TRUE(at::equal(batch.at("mask")[0].to(at::kLong), row_of({1, 1, 1, 1, 1, 1, 1, 0, 0})));
  EXPECT_TRUE(at::equal(batch.at("text")[0].to(at::kLong), row_of({0, 0, 0, 1, 1, 1, 0, 0, 0})));
  EXPECT_TRUE(at::equal(batch.at("types")[0], row_of({0, 0, 0, 1, 1, 1, 1, 0, 0})));
  EXPECT_TRUE(at::equal(batch.at("types")[1], row_of({0, 0, 0, 0, 1, 1, 1, 1, 1})));
  EXPECT_TRUE(at::equal(batch.target.flatten(), row_of({4, 5, 6, 7})));
}

TEST(SpanWindows, WindowsOfAboutOneLengthComeTogether) {
  std::vector<SpanWindow> all;
  for (int64_t i = 0; i < 40; ++i) all.push_back(span_window(1, 3 + i * 7 % 40));
  const SpanWindows windows(all, 0);
  std::vector<int64_t> order(40);
  std::iota(order.begin(), order.end(), 0);
  windows.arrange(order, 4, 3);
  for (size_t begin = 0; begin < 40; begin += 4) {
    const std::vector<int64_t> batch(order.begin() + begin, order.begin() + begin + 4);
    EXPECT_LE(windows.build(batch, 0, 0).input.size(1) -
                  static_cast<int64_t>(all[static_cast<size_t>(batch[0])].tokens.size()),
              3);
  }
}

}  // namespace
}  // namespace halftone::data
