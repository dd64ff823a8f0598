// Safetensors files: named tensors that Python's `safetensors` reads and writes.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

struct SafeTensors {
  NamedTensors tensors;  // on the CPU, contiguous, in the order of their data
  std::map<std::string, std::string> metadata;
};

// Writes the file whole or not at all. Formats: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL; any
// strides and device. Throws Error for another format, a name that is there twice, and where the
// file cannot be written. Source: github.com/huggingface/safetensors, README, "Format".
HALFTONE_API void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                                    const std::map<std::string, std::string>& metadata = {});

// Throws Error with what was given and expected where the file is cut short, its header is not what
// the format says, or the ranges of its tensors overlap, leave gaps or end outside the file.
HALFTONE_API SafeTensors read_safetensors(const std::filesystem::path& path);
// The same of a file's content. where: the file, for messages.
HALFTONE_API SafeTensors parse_safetensors(const std::string& content, const std::string& where);

}  // namespace halftone
