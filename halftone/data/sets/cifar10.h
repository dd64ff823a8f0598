// CIFAR-10: 50,000 + 10,000 colour images of 32x32 in ten classes (Krizhevsky, "Learning multiple
// layers of features from tiny images", 2009).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/dataset.h"

namespace halftone::data {

// `path` is one of
// - a directory with the binary batches (data_batch_1.bin … test_batch.bin), or the one above it;
// - a tar of {train,test}/CLASS/*.jpg (or .png), or a directory that holds one such *.tar;
// - a directory with {train,test}/CLASS/*.jpg (or .png).
// All images are decoded here, once, by `threads` threads. Images that cannot be read are named in
// one warning and left out; more than 1 % of them is an Error, as is a missing, truncated or
// other file.
std::shared_ptr<Dataset> cifar10(const std::filesystem::path& path, bool train, int threads = 2);

// airplane, automobile, …
std::vector<std::string> cifar10_classes();

}  // namespace halftone::data
