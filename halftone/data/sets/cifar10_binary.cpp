#include "halftone/data/sets/cifar10_binary.h"

#include <ATen/Functions.h>

#include <cstring>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/text.h"
#include "halftone/data/codec/bytes.h"
#include "halftone/data/sets/cifar10.h"

namespace halftone::data {
namespace {

constexpr int64_t kRecords = 10000;  // in each file
constexpr size_t kPixels = 3 * 32 * 32;
constexpr size_t kRecord = 1 + kPixels;

// Adds the records of one file to `pixels` and `labels`.
void read_batch(const std::filesystem::path& path, uint8_t* pixels, std::vector<int64_t>& labels) {
  const std::string content = read_file(path);
  if (content.size() != kRecords * kRecord) {
    throw Error(std::to_string(content.size()) + " bytes",
                std::to_string(kRecords * kRecord) + " (10000 records of 3073)", path.string());
  }
  const auto classes = static_cast<int64_t>(cifar10_classes().size());
  for (size_t offset = 0; offset < content.size(); offset += kRecord, pixels += kPixels) {
    const auto label = static_cast<uint8_t>(content[offset]);
    if (label >= classes) {
      throw Error("label " + std::to_string(label), "0 to " + std::to_string(classes - 1),
                  at_offset(path.string(), offset));
    }
    labels.push_back(label);
    std::memcpy(pixels, content.data() + offset + 1, kPixels);
  }
}

}  // namespace

std::vector<std::string> cifar10_binary_files(bool train) {
  if (!train) return {"test_batch.bin"};
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
          "data_batch_5.bin"};
}

std::shared_ptr<Dataset> cifar10_binary(const std::filesystem::path& dir, bool train) {
  const auto files = cifar10_binary_files(train);
  for (const auto& file : files) {
    std::error_code ignored;
    if (std::filesystem::status(dir / file, ignored).type() !=
        std::filesystem::file_type::not_found)
      continue;
    throw Error("no such file", join(files) + ", each of 10000 records of 3073 bytes",
                (dir / file).string());
  }
  const auto count = static_cast<int64_t>(files.size()) * kRecords;
  at::Tensor images = at::empty({count, 3, 32, 32}, at::kByte);
  std::vector<int64_t> labels;
  labels.reserve(static_cast<size_t>(count));
  for (const auto& file : files) {
    read_batch(dir / file, images.mutable_data_ptr<uint8_t>() + labels.size() * kPixels, labels);
  }
  return std::make_shared<MemoryDataset>(std::move(images), std::move(labels), cifar10_classes(),
                                         dir.string());
}

}  // namespace halftone::data
