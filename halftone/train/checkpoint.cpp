#include "halftone/train/checkpoint.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "halftone/base/crc32c.h"
#include "halftone/base/error.h"
#include "halftone/base/file.h"
#include "halftone/base/log.h"
#include "halftone/train/pickle.h"

namespace halftone {
namespace {

constexpr char kMagic[8] = {'H', 'A', 'L', 'F', 'T', 'O', 'N', 'E'};

// The last bytes of the file. A zip archive may be followed by up to 64 KiB (its comment), so that
// other readers do not mind.
struct Trailer {
  std::uint64_t size = 0;  // of the archive before it
  std::uint32_t crc = 0;   // of the archive
  std::uint32_t version = 1;
  char magic[8] = {};
};
static_assert(sizeof(Trailer) == 24 && std::endian::native == std::endian::little);

constexpr std::string_view kPrefix = "step-", kSuffix = ".pt";

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

// The archive within `content`, once length and checksum are as the trailer says.
std::string_view checked(std::string_view content, const std::string& where) {
  Trailer trailer;
  if (content.size() >= sizeof trailer)
    std::memcpy(&trailer, content.data() + content.size() - sizeof trailer, sizeof trailer);
  if (std::memcmp(trailer.magic, kMagic, sizeof kMagic) != 0)
    throw Error(std::to_string(content.size()) + " bytes without Halftone's trailer",
                "a checkpoint of Halftone (this one is torn or foreign)", where);
  if (trailer.version != 1)
    throw Error("format version " + std::to_string(trailer.version), "1", where);
  const std::string_view archive = content.substr(0, content.size() - sizeof trailer);
  if (archive.size() != trailer.size)
    throw Error("torn: " + std::to_string(archive.size()) + " bytes", std::to_string(trailer.size),
                where);
  if (const std::uint32_t crc = crc32c(archive.data(), archive.size()); crc != trailer.crc)
    throw Error("torn: checksum " + hex(crc), hex(trailer.crc), where);
  return archive;
}

// The step of "step-<number>.pt", or -1.
std::int64_t step_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  std::int64_t step = -1;
  if (name.size() <= kPrefix.size() + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix))
    return -1;
  const char* end = name.data() + name.size() - kSuffix.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && stop == end ? step : -1;
}

void remove_quietly(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const StateDict& state) {
  AtomicFile file(path);
  Trailer trailer;
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  write_archive(state, [&](const void* data, std::size_t size) {
    file.write(data, size);
    trailer.crc = crc32c(data, size, trailer.crc);
    trailer.size += size;
  });
  file.write(&trailer, sizeof trailer);
  file.commit();
}

StateDict read_checkpoint(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  return read_archive(checked(content, path.string()), path.string());
}

CheckpointStore::CheckpointStore(std::filesystem::path directory, std::int64_t keep_last)
    : directory_(std::move(directory)), keep_last_(std::max<std::int64_t>(1, keep_last)) {}

void CheckpointStore::prepare() {
  make_directories(directory_);
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    if (entry.path().extension() == ".tmp") remove_quietly(entry.path());
  AtomicFile probe(directory_ / "probe");
}

std::vector<std::filesystem::path> CheckpointStore::list() const {
  std::vector<std::filesystem::path> found;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, none))
    if (step_of(entry.path()) >= 0) found.push_back(entry.path());
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return step_of(a) > step_of(b); });
  return found;
}

std::filesystem::path CheckpointStore::write(std::int64_t step, const StateDict& state) {
  char name[48];
  std::snprintf(name, sizeof name, "step-%08lld.pt", static_cast<long long>(step));
  const auto path = directory_ / name;
  write_checkpoint(path, state);
  // One of a later step can only be torn (this run would have started from it): not counted.
  std::int64_t kept = 0;
  for (const auto& each : list())
    if (step_of(each) <= step && ++kept > keep_last_) remove_quietly(each);
  return path;
}

std::filesystem::path CheckpointStore::write_best(const StateDict& state) {
  const auto path = directory_ / "best.pt";
  write_checkpoint(path, state);
  return path;
}

std::optional<CheckpointStore::Found> CheckpointStore::newest() const {
  auto candidates = list();
  if (const auto best = directory_ / "best.pt"; std::filesystem::exists(best))
    candidates.push_back(best);
  std::string reason;
  for (const auto& path : candidates) {
    try {
      return Found{path, read_checkpoint(path)};
    } catch (const Error& error) {
      reason = error.what();
      warn("checkpoint passed over: " + reason);
    }
  }
  if (candidates.empty()) return std::nullopt;
  throw Error(
      std::to_string(candidates.size()) + " checkpoints, none of them whole (" + reason + ")",
      "one that is", directory_.string());
}

void CheckpointStore::clear() {
  for (const auto& path : list()) remove_quietly(path);
  remove_quietly(directory_ / "best.pt");
}

}  // namespace halftone
