#include "halftone/train/signals.h"

#include <signal.h>

#include <atomic>

namespace halftone {
namespace {

static_assert(std::atomic<int>::is_always_lock_free);  // so that a handler may touch it
std::atomic<int> g_caught{0};
int g_guards = 0;
struct sigaction g_before[2];
constexpr int kSignals[2] = {SIGINT, SIGTERM};

extern "C" void halftone_on_signal(int signal) {
  int none = 0;
  if (g_caught.compare_exchange_strong(none, signal)) return;
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  ::raise(signal);  // blocked while we are in its handler, taken when we return
}

}  // namespace

SignalGuard::SignalGuard() {
  if (g_guards++ > 0) return;
  g_caught = 0;
  struct sigaction action {};
  action.sa_handler = halftone_on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (int i = 0; i < 2; ++i) ::sigaction(kSignals[i], &action, &g_before[i]);
}

SignalGuard::~SignalGuard() {
  if (--g_guards > 0) return;
  for (int i = 0; i < 2; ++i) ::sigaction(kSignals[i], &g_before[i], nullptr);
}

int SignalGuard::caught() { return g_caught; }

}  // namespace halftone
