// Precompiled: what nearly every file with tensors includes.
#pragma once

#include <torch/torch.h>
