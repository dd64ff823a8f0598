#include "halftone/train/safetensors.h"

#include <torch/torch.h>

#include <cstring>

#include "halftone/base/file.h"
#include "tests/support/scratch.h"
#include "tests/support/test.h"

namespace halftone {
namespace {

// A file with this header and that many bytes of data.
std::string with_header(const std::string& header, std::size_t data) {
  const std::uint64_t length = header.size();
  std::string content(8, '\0');
  std::memcpy(content.data(), &length, 8);
  return content + header + std::string(data, '\1');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

void expect_refused(const std::string& content, const std::string& message) {
  Scratch scratch;
  write_file(scratch / "x.safetensors", content);
  EXPECT_ERROR(read_safetensors(scratch / "x.safetensors"), message);
}

TEST(Safetensors, EveryFormatReadsBackBitForBit) {
  Scratch scratch;
  torch::manual_seed(1);
  NamedTensors written;
  for (auto type : {torch::kHalf, torch::kDouble, torch::kBool, torch::kFloat, torch::kBFloat16})
    written.emplace_back(c10::toString(type), torch::randn({3, 5}).to(type));
  for (auto type : {torch::kLong, torch::kInt, torch::kShort, torch::kChar, torch::kByte})
    written.emplace_back(c10::toString(type), torch::randint(100, {7}).to(type));
  written.emplace_back("scalar", torch::tensor(3.5));
  written.emplace_back("empty", torch::zeros({0, 4}));
  written.emplace_back("channels \"last\"",
                       torch::randn({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast));
  write_safetensors(scratch / "x", written, {{"format", "pt"}, {"step", "7"}});
  const SafeTensors read = read_safetensors(scratch / "x");
  EXPECT_EQ(read.metadata.at("step"), "7");
  EXPECT_EQ(read.tensors.size(), written.size());
  const std::map<std::string, at::Tensor> by_name(read.tensors.begin(), read.tensors.end());
  for (const auto& [name, tensor] : written) {
    EXPECT_EQ(by_name.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(torch::equal(by_name.at(name), tensor)) << name;
  }
}

// tests/goldens/safetensors_golden.py wrote it with Python's safetensors.
TEST(Safetensors, ReadsWhatPythonWrote) {
  const SafeTensors read =
      read_safetensors(HALFTONE_SOURCE_DIR "/tests/goldens/python.safetensors");
  const std::map<std::string, at::Tensor> by_name(read.tensors.begin(), read.tensors.end());
  EXPECT_EQ(read.metadata.at("writer"), "python");
  EXPECT_EQ(by_name.size(), 5u);
  for (const auto& [name, type] : {std::pair{"f64", torch::kDouble},
                                   {"f32", torch::kFloat},
                                   {"f16", torch::kHalf},
                                   {"bf16", torch::kBFloat16}})
    EXPECT_TRUE(torch::equal(by_name.at(name), (torch::arange(-3, 3).to(type) / 4).reshape({2, 3})))
        << name;
  EXPECT_TRUE(torch::equal(by_name.at("i64"), torch::tensor(int64_t{1234567890123})));
}

TEST(Safetensors, TruncatedFileIsAnErrorWithGivenAndExpected) {
  expect_refused("abc", "3 bytes; expected at least 8");
  expect_refused(with_header("{}", 0).substr(0, 9), "a header of 2 bytes; expected at most the 1");
  const std::string whole = with_header("{" + entry("a", "F32", "[2]", "[0,8]") + "}", 8);
  expect_refused(whole.substr(0, whole.size() - 1), "a: data_offsets [0, 8]; expected a range");
  expect_refused(whole + "x", "9 bytes of data; expected 8 as its header says");
  expect_refused(std::string(64, '\xff'), "the file is cut short or no safetensors file");
}

TEST(Safetensors, HeaderThatIsNotWhatTheFormatSaysIsRefused) {
  expect_refused(with_header("[1]", 0), "a header that is no object");
  expect_refused(with_header("{\"a\":", 0), "header, offset 5");
  expect_refused(with_header("{\"a\":1}", 0), "a: 1; expected an object");
  expect_refused(with_header("{\"a\":{\"dtype\":\"F32\"}}", 0), "a: no shape");
  expect_refused(with_header("{\"__metadata__\":{\"k\":1}}", 0), "__metadata__ \"k\": 1");
  expect_refused(with_header("{" + entry("a", "F8", "[1]", "[0,1]") + "}", 1),
                 "a: dtype \"F8\"; expected one of F64 F32 F16 BF16 I64");
  expect_refused(with_header("{" + entry("a", "F32", "[-1]", "[0,4]") + "}", 4), "size -1");
  expect_refused(with_header("{" + entry("a", "F32", "[1.5]", "[0,4]") + "}", 4), "size 1.5");
  expect_refused(with_header("{" + entry("a", "F32", "[2]", "[0,4]") + "}", 4),
                 "4 bytes of data; expected 8 as dtype and shape say");
  expect_refused(with_header("{" + entry("a", "F32", "[4611686018427387904,4]", "[0,4]") + "}", 4),
                 "a shape whose size overflows");
  expect_refused(with_header("{" + entry("a", "F32", "[1]", "[4,0]") + "}", 4), "[4, 0]");
}

TEST(Safetensors, RangesThatOverlapOrLeaveGapsAreRefused) {
  const auto two = [](const std::string& second, std::size_t data) {
    return with_header(
        "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", second) + "}",
        data);
  };
  expect_refused(two("[4,12]", 12), "b: data that begins at 4; expected 8 (it overlaps another)");
  expect_refused(two("[12,20]", 20), "b: data that begins at 12; expected 8 (a gap)");
  expect_refused(two("[8,20]", 20), "12 bytes of data; expected 8");
}

TEST(Safetensors, FullDiskKeepsTheOldFileAndLeavesNoTemporary) {
  Scratch scratch;
  write_safetensors(scratch / "x", {{"a", torch::ones(4)}});
  {
    SmallDisk disk(4096);
    EXPECT_ERROR(write_safetensors(scratch / "x", {{"a", torch::ones(10000)}}),
                 "cannot write (File too large)");
  }
  EXPECT_TRUE(torch::equal(read_safetensors(scratch / "x").tensors[0].second, torch::ones(4)));
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"x"});
}

TEST(Safetensors, TensorsThatCannotBeWrittenAreNamed) {
  Scratch scratch;
  EXPECT_ERROR(write_safetensors(scratch / "x", {{"c", torch::ones(2, torch::kComplexFloat)}}),
               "c: ComplexFloat; expected one of F64");
  EXPECT_ERROR(write_safetensors(scratch / "x", {{"a", torch::ones(1)}, {"a", torch::ones(1)}}),
               "\"a\" twice");
  EXPECT_TRUE(scratch.names().empty());
}

}  // namespace
}  // namespace halftone
