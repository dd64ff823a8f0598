#include "halftone/base/isa.h"

#include <cstdlib>

#include "tests/support/test.h"

namespace halftone {
namespace {

TEST(Isa, StartsAtTheHighestRungOrTheForcedOne) {
  const char* forced = std::getenv("HALFTONE_ISA");
  EXPECT_EQ(std::string(isa_name(isa())),
            forced && *forced ? std::string(forced) : isa_name(machine_isas().back()));
}

TEST(Isa, ReferenceIsAlwaysThere) { EXPECT_EQ(machine_isas().front(), Isa::ref); }

TEST(Isa, ForcedRungIsInForceUntilSetBack) {
  const Isa before = isa();
  for (Isa each : machine_isas()) {
    set_isa(each);
    EXPECT_EQ(isa(), each);
  }
  set_isa(before);
}

TEST(Isa, RungAboveTheMachineIsAnErrorThatListsWhatThereIs) {
  if (machine_isas().back() == Isa::amx) GTEST_SKIP() << "this machine has every rung";
  EXPECT_ERROR(set_isa(Isa::amx), "a rung of this machine: ref");
}

}  // namespace
}  // namespace halftone
