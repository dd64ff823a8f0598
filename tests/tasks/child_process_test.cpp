#include "halftone/tasks/child_process.h"

#include "tests/support/test.h"

namespace halftone::tasks {
namespace {

TEST(ChildProcess, CollectsBothOutputsAndTheExitCode) {
  const ChildOutput child = run_child("/bin/sh", {"-c", "echo out; echo err >&2; exit 3"});
  EXPECT_EQ(child.exit_code, 3);
  EXPECT_EQ(child.out, "out\n");
  EXPECT_EQ(child.err, "err\n");
}

TEST(ChildProcess, MuchOutputOnBothPipesDoesNotBlock) {
  const ChildOutput child =
      run_child("/bin/sh", {"-c",
                            "i=0; while [ $i -lt 5000 ]; do echo 0123456789012345678901234567890; "
                            "echo 0123456789012345678901234567890 >&2; i=$((i+1)); done"});
  EXPECT_EQ(child.out.size(), 5000u * 32);
  EXPECT_EQ(child.err.size(), 5000u * 32);
}

TEST(ChildProcess, SignalIsReportedAsShellsDo) {
  EXPECT_EQ(run_child("/bin/sh", {"-c", "kill -9 $$"}).exit_code, 137);
}

TEST(ChildProcess, ProgramThatIsNotThereIsNamed) {
  EXPECT_ERROR(run_child("/nonexistent/program", {}), "/nonexistent/program: cannot start");
}

}  // namespace
}  // namespace halftone::tasks
