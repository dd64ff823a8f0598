#include "halftone/report/text_table.h"

#include "tests/support/test.h"

namespace halftone::report {
namespace {

TEST(TextTable, ColumnsAlignAlsoWithCharactersOfSeveralBytes) {
  TextTable table({"", "fp32", "bf16"});
  table.add_row({"step time", "24.1 ms", "1.7×"});
  table.add_row({"scale", "–", "65536"});
  EXPECT_EQ(table.str(),
            "              fp32   bf16\n"
            "-------------------------\n"
            "step time  24.1 ms   1.7×\n"
            "scale            –  65536\n");
}

TEST(TextTable, RowOfAnotherLengthIsAnError) {
  TextTable table({"a", "b"});
  EXPECT_ERROR(table.add_row({"1"}), "1 cells; expected 2");
}

}  // namespace
}  // namespace halftone::report
