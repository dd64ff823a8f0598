#include <iostream>

#include "halftone/cli/application.h"

int main(int argc, char** argv) {
  return halftone::cli::run({argv + 1, argv + argc}, std::cout, std::cerr);
}
