// Fashion-MNIST: 60,000 + 10,000 grey images of 28x28, ten kinds of clothing (Xiao, Rasul,
// Vollgraf, arXiv:1708.07747).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/data/dataset.h"

namespace halftone::data {

// Reads {train,t10k}-{images-idx3,labels-idx1}-ubyte, as they are or with .gz, from `dir`. Throws
// Error naming the file and the offset for a file that is missing, truncated, corrupt or another.
std::shared_ptr<Dataset> fashion_mnist(const std::filesystem::path& dir, bool train);

// Where the files are on this machine: what scripts/fetch_fashion_mnist.sh left in
// ${XDG_CACHE_HOME:-$HOME/.cache}/halftone/fashion-mnist, else Debian's installed package
// dataset-fashion-mnist. Throws Error that says how to get them.
std::filesystem::path find_fashion_mnist();

// T-shirt/top, Trouser, …
std::vector<std::string> fashion_mnist_classes();

}  // namespace halftone::data
