// SIGINT and SIGTERM as a flag that a loop reads between its steps.
#pragma once

#include "halftone/base/export.h"

namespace halftone {

// While one lives, the first SIGINT or SIGTERM only sets the flag; the next ends the process as if
// nobody had caught it. The destructor restores the handlers from before. Guards nest: the flag
// lasts until the outermost one ends. Construct and destroy on one thread.
class HALFTONE_API SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

  // SIGINT or SIGTERM, or 0 where none came. Any thread.
  static int caught();
};

}  // namespace halftone
