#include "halftone/train/signals.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/test.h"

namespace halftone {
namespace {

volatile sig_atomic_t g_seen = 0;

// How a process ends that runs `body`: -signal, or its exit status.
template <class Body>
int end_of(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    body();
    ::_exit(7);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(Signals, FirstSignalOnlySetsTheFlag) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const SignalGuard guard;
    EXPECT_EQ(SignalGuard::caught(), 0);
    ::raise(signal);
    EXPECT_EQ(SignalGuard::caught(), signal);
  }
}

TEST(Signals, SecondSignalEndsTheProcessAtOnce) {
  EXPECT_EQ(end_of([] {
              const SignalGuard guard;
              ::raise(SIGINT);
            }),
            7);
  EXPECT_EQ(end_of([] {
              const SignalGuard guard;
              ::raise(SIGINT);
              ::raise(SIGINT);
            }),
            -SIGINT);
  EXPECT_EQ(end_of([] {
              const SignalGuard guard;
              ::raise(SIGINT);
              ::raise(SIGTERM);
            }),
            -SIGTERM);
}

TEST(Signals, HandlersFromBeforeAreBackAfterTheGuard) {
  const auto before = ::signal(SIGINT, [](int) { g_seen = 1; });
  {
    const SignalGuard outer;
    { const SignalGuard inner; }
    ::raise(SIGINT);  // still the guard's
    EXPECT_EQ(SignalGuard::caught(), SIGINT);
  }
  EXPECT_EQ(g_seen, 0);
  ::raise(SIGINT);
  EXPECT_EQ(g_seen, 1);
  ::signal(SIGINT, before);
}

}  // namespace
}  // namespace halftone
