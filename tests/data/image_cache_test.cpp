#include "halftone/data/image_cache.h"

#include <ATen/Functions.h>

#include <thread>

#include "halftone/base/error.h"
#include "tests/support/test.h"

namespace halftone::data {
namespace {

at::Tensor hundred_bytes(int value) { return at::full({1, 10, 10}, value, at::kByte); }

TEST(ImageCache, DecodesOnceWhatFitsAndAlwaysWhatDoesNot) {
  ImageCache cache(250);
  int decoded = 0;
  const auto get = [&](const std::string& name, int value) {
    return cache.get(name, [&] {
      ++decoded;
      return hundred_bytes(value);
    });
  };
  for (int pass = 0; pass < 3; ++pass) {
    EXPECT_TRUE(get("a", 1).equal(hundred_bytes(1)));
    EXPECT_TRUE(get("b", 2).equal(hundred_bytes(2)));
    EXPECT_TRUE(get("c", 3).equal(hundred_bytes(3)));
  }
  EXPECT_EQ(decoded, 1 + 1 + 3);
  EXPECT_EQ(cache.bytes(), 200);
}

TEST(ImageCache, WhatACallerWritesIsItsOwn) {
  ImageCache cache(1000);
  const auto get = [&] { return cache.get("a", [] { return hundred_bytes(1); }); };
  get().fill_(9);
  get().fill_(9);
  EXPECT_TRUE(get().equal(hundred_bytes(1)));
}

TEST(ImageCache, KeepsNothingOfWhatCannotBeDecoded) {
  ImageCache cache(1000);
  EXPECT_ERROR(cache.get("a", []() -> at::Tensor { throw Error("corrupt", "whole", "a"); }),
               "a: corrupt");
  EXPECT_EQ(cache.bytes(), 0);
  EXPECT_TRUE(cache.get("a", [] { return hundred_bytes(4); }).equal(hundred_bytes(4)));
}

TEST(ImageCache, SeveralThreadsGetTheirImages) {
  ImageCache cache(100 * 20);
  std::vector<std::jthread> threads;
  std::array<bool, 4> right{};
  for (size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&cache, &right, t] {
      right[t] = true;
      for (int i = 0; i < 400; ++i) {
        const at::Tensor image =
            cache.get(std::to_string(i % 40), [i] { return hundred_bytes(i % 40); });
        right[t] = right[t] && image.equal(hundred_bytes(i % 40));
      }
    });
  }
  threads.clear();
  for (const bool each : right) EXPECT_TRUE(each);
  EXPECT_EQ(cache.bytes(), 100 * 20);
}

}  // namespace
}  // namespace halftone::data
