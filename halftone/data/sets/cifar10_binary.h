// CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): records of one label and
// 3x32x32 bytes, 10,000 in each file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/dataset.h"

namespace halftone::data {

std::vector<std::string> cifar10_binary_files(bool train);

// Throws Error with file and offset where one is missing, of another size, or has a label
// outside 0..9.
std::shared_ptr<Dataset> cifar10_binary(const std::filesystem::path& dir, bool train);

}  // namespace halftone::data
