#include <csignal>
#include <iostream>

#include "halftone/cli/application.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file beyond `ulimit -f` is then a write that fails
  return halftone::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
