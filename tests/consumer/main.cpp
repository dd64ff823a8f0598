#include <halftone/halftone.h>

#include <iostream>

int main() {
  std::cout << "halftone " << HALFTONE_VERSION << " on " << halftone::isa_name(halftone::isa())
            << "\n";
  return 0;
}
