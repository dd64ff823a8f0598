#include "halftone/train/safetensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/json.h"

namespace halftone {
namespace {

struct Dtype {
  const char* name;
  at::ScalarType type;
};

constexpr Dtype kDtypes[] = {{"F64", at::kDouble},    {"F32", at::kFloat}, {"F16", at::kHalf},
                             {"BF16", at::kBFloat16}, {"I64", at::kLong},  {"I32", at::kInt},
                             {"I16", at::kShort},     {"I8", at::kChar},   {"U8", at::kByte},
                             {"BOOL", at::kBool}};
constexpr std::size_t kLengthBytes = 8;            // the header's length, little endian
constexpr std::size_t kAlignment = 8;              // of the data within the file
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own reader

std::string dtype_names() {
  std::string names;
  for (const Dtype& each : kDtypes) names += (names.empty() ? "" : " ") + std::string(each.name);
  return names;
}

const char* dtype_name(at::ScalarType type, const std::string& where) {
  for (const Dtype& each : kDtypes)
    if (each.type == type) return each.name;
  throw Error(c10::toString(type), "one of " + dtype_names(), where);
}

// Aligned to their element size: the widest elements come first, as the format's own writer does.
NamedTensors in_file_order(const NamedTensors& tensors, const std::string& where) {
  std::set<std::string> names{"__metadata__"};
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      throw Error("\"" + name + "\" twice", "names that differ", where);
    dtype_name(tensor.scalar_type(), where + ": " + name);
  }
  NamedTensors sorted = tensors;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    return a.second.element_size() > b.second.element_size();
  });
  return sorted;
}

// One entry of the header, checked against everything but the other entries.
struct Entry {
  std::string name;
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;
};

std::uint64_t whole_number(const Json& value, const char* what, const std::string& where) {
  if (!value.is_int() || value.as_int() < 0)
    throw Error(std::string(what) + " " + value.dump(), "whole numbers from 0", where);
  return static_cast<std::uint64_t>(value.as_int());
}

std::uint64_t bytes_of(const Entry& entry, const std::string& where) {
  std::uint64_t bytes = c10::elementSize(entry.type);
  for (const std::int64_t size : entry.shape)
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes))
      throw Error("a shape whose size overflows", "fewer than 2^64 bytes", where);
  return bytes;
}

Entry parse_entry(const std::string& name, const Json& value, std::uint64_t data_size,
                  const std::string& where) {
  if (!value.is_object()) throw Error(value.dump(), "an object", where);
  for (const char* key : {"dtype", "shape", "data_offsets"})
    if (!value.find(key))
      throw Error("no " + std::string(key), "dtype, shape, data_offsets", where);
  const Json& dtype = value.at("dtype");
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& each) {
    return dtype.is_string() && dtype.as_string() == each.name;
  });
  if (known == std::end(kDtypes))
    throw Error("dtype " + dtype.dump(), "one of " + dtype_names(), where);
  Entry entry{name, known->type, {}, 0, 0};
  if (!value.at("shape").is_array())
    throw Error("shape " + value.at("shape").dump(), "a list", where);
  for (const Json& size : value.at("shape").as_array())
    entry.shape.push_back(static_cast<std::int64_t>(whole_number(size, "size", where)));
  const Json& offsets = value.at("data_offsets");
  if (!offsets.is_array() || offsets.as_array().size() != 2)
    throw Error("data_offsets " + offsets.dump(), "two numbers", where);
  entry.begin = whole_number(offsets.as_array()[0], "offset", where);
  entry.end = whole_number(offsets.as_array()[1], "offset", where);
  if (entry.begin > entry.end || entry.end > data_size)
    throw Error("data_offsets " + offsets.dump(),
                "a range within the file's " + std::to_string(data_size) + " bytes of data", where);
  if (const std::uint64_t bytes = bytes_of(entry, where); entry.end - entry.begin != bytes)
    throw Error(std::to_string(entry.end - entry.begin) + " bytes of data",
                std::to_string(bytes) + " as dtype and shape say", where);
  return entry;
}

// The entries in the order of their data, which they cover without overlap or gap.
std::vector<Entry> parse_entries(const Json& header, std::uint64_t data_size,
                                 const std::string& where) {
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.as_object())
    if (name != "__metadata__")
      entries.push_back(parse_entry(name, value, data_size, where + ": " + name));
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t at = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != at)
      throw Error("data that begins at " + std::to_string(entry.begin),
                  std::to_string(at) + (entry.begin < at ? " (it overlaps another)" : " (a gap)"),
                  where + ": " + entry.name);
    at = entry.end;
  }
  if (at != data_size)
    throw Error(std::to_string(data_size) + " bytes of data",
                std::to_string(at) + " as its header says", where);
  return entries;
}

std::map<std::string, std::string> parse_metadata(const Json& header, const std::string& where) {
  std::map<std::string, std::string> result;
  const Json* metadata = header.find("__metadata__");
  if (!metadata) return result;
  if (!metadata->is_object()) throw Error("__metadata__ " + metadata->dump(), "an object", where);
  for (const auto& [key, value] : metadata->as_object()) {
    if (!value.is_string())
      throw Error("__metadata__ \"" + key + "\": " + value.dump(), "a string", where);
    result[key] = value.as_string();
  }
  return result;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  const NamedTensors sorted = in_file_order(tensors, path.string());
  Json::Object header;
  if (!metadata.empty()) {
    Json::Object entries;
    for (const auto& [key, value] : metadata) entries.emplace_back(key, value);
    header.emplace_back("__metadata__", entries);
  }
  std::int64_t at = 0;
  for (const auto& [name, tensor] : sorted) {
    Json entry;
    entry["dtype"] = dtype_name(tensor.scalar_type(), name);
    entry["shape"] = Json::array();
    for (const std::int64_t size : tensor.sizes()) entry["shape"].push_back(size);
    const std::int64_t end = at + tensor.numel() * tensor.element_size();
    entry["data_offsets"] = Json::Array{at, end};
    at = end;
    header.emplace_back(name, std::move(entry));
  }
  std::string text = Json(std::move(header)).dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');

  AtomicFile file(path);
  const std::uint64_t length = text.size();
  file.write(&length, kLengthBytes);
  file.write(text.data(), text.size());
  for (const auto& [name, tensor] : sorted) {
    const at::Tensor plain = tensor.detach().to(at::kCPU).contiguous();
    file.write(plain.data_ptr(), static_cast<std::size_t>(plain.nbytes()));
  }
  file.commit();
}

SafeTensors read_safetensors(const std::filesystem::path& path) {
  return parse_safetensors(read_file(path), path.string());
}

SafeTensors parse_safetensors(const std::string& content, const std::string& where) {
  std::uint64_t length = 0;
  if (content.size() < kLengthBytes)
    throw Error(std::to_string(content.size()) + " bytes", "at least 8, a safetensors file", where);
  std::memcpy(&length, content.data(), kLengthBytes);
  const std::uint64_t room = content.size() - kLengthBytes;
  if (length > room || length > kMaxHeader)
    throw Error("a header of " + std::to_string(length) + " bytes",
                "at most the " + std::to_string(std::min(room, kMaxHeader)) +
                    " that follow: the file is cut short or no safetensors file",
                where);
  const Json header =
      Json::parse(std::string_view(content).substr(kLengthBytes, length), where + ": header");
  if (!header.is_object()) throw Error("a header that is no object", "a JSON object", where);
  const char* data = content.data() + kLengthBytes + length;

  SafeTensors result;
  result.metadata = parse_metadata(header, where);
  for (const Entry& entry : parse_entries(header, room - length, where)) {
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.type));
    if (entry.end > entry.begin) {
      std::memcpy(tensor.data_ptr(), data + entry.begin, entry.end - entry.begin);
    }
    result.tensors.emplace_back(entry.name, std::move(tensor));
  }
  return result;
}

}  // namespace halftone
