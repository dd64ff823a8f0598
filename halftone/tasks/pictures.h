// Pictures that `predict` writes of its answers about images.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "halftone/report/canvas.h"
#include "halftone/tasks/learner.h"

namespace halftone::tasks {

// image: uint8 (3,H,W). Throws Error where it is too large.
report::Canvas photograph(const at::Tensor& image);

// Where the pictures of `inputs` (image files) go: "STEM.KIND.png" in the options' directory, which
// is created. Throws UsageError where two would go to the same file, Error where the directory
// can't be made.
std::vector<std::filesystem::path> picture_paths(const std::vector<std::string>& inputs,
                                                 const std::string& kind,
                                                 const PredictOptions& options);

}  // namespace halftone::tasks
