#include "halftone/ops/state_reader.h"

#include <torch/torch.h>

#include "tests/support/test.h"

namespace halftone {
namespace {

StateDict sample() {
  auto state = make_state_dict();
  state.insert("steps", int64_t{3});
  state.insert("lr", 0.5);
  state.insert("on", true);
  state.insert("name", std::string("cosine"));
  state.insert("rates", std::vector<double>{1, 2.5});
  state.insert("weight", torch::ones({2, 3}));
  auto inner = make_state_dict();
  inner.insert("steps", int64_t{7});
  state.insert("inner", inner);
  return state;
}

TEST(StateReader, ReadsEveryTypeAndFinishes) {
  const auto state = sample();
  StateReader reader(state, "thing");
  EXPECT_EQ(reader.integer("steps"), 3);
  EXPECT_EQ(reader.number("lr"), 0.5);
  EXPECT_EQ(reader.number("steps"), 3.0);
  EXPECT_TRUE(reader.boolean("on"));
  EXPECT_EQ(reader.text("name"), "cosine");
  EXPECT_EQ(reader.numbers("rates"), (std::vector<double>{1, 2.5}));
  EXPECT_TRUE(reader.tensor("weight", torch::zeros({2, 3})).equal(torch::ones({2, 3})));
  const auto inner = reader.dict("inner");
  EXPECT_EQ(StateReader(inner, "inner").integer("steps"), 7);
  reader.finish();
}

TEST(StateReader, ReadsAListWithoutElementType) {
  auto state = make_state_dict();
  c10::impl::GenericList list(c10::AnyType::get());
  list.push_back(1.5);
  list.push_back(int64_t{2});
  state.insert("rates", list);
  EXPECT_EQ(StateReader(state, "thing").numbers("rates"), (std::vector<double>{1.5, 2}));
}

TEST(StateReader, NamesWhatIsMissingUnknownOrWrong) {
  const auto state = sample();
  StateReader reader(state, "thing");
  EXPECT_ERROR(reader.integer("epochs"), "thing.epochs: no such key");
  EXPECT_ERROR(reader.integer("lr"), "thing.lr: a value of type Double; expected an integer");
  EXPECT_ERROR(reader.tensor("name"), "expected a tensor");
  EXPECT_ERROR(reader.numbers("name"), "expected a list of numbers");
  EXPECT_ERROR(reader.dict("name"), "expected a dictionary");
  EXPECT_ERROR(reader.tensor("weight", torch::zeros({3, 2})), "expected a tensor [3, 2] of Float");
  EXPECT_ERROR(reader.tensor("weight", torch::zeros({2, 3}, torch::kHalf)), "of Half");
  EXPECT_ERROR(reader.finish(), "an unknown key");
}

}  // namespace
}  // namespace halftone
