#include "halftone/data/codec/tar.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "halftone/base/error.h"
#include "halftone/data/codec/bytes.h"
#include "halftone/data/codec/gunzip.h"

namespace halftone::data {
namespace {

constexpr uint64_t kBlock = 512;

// A header's fields: where they start and how long they are (POSIX.1-1988, section 10.1.1).
struct Field {
  size_t begin, length;
};
constexpr Field kName{0, 100}, kSize{124, 12}, kChecksum{148, 8}, kType{156, 1}, kMagic{257, 5},
    kPrefix{345, 155};

std::string text(const std::string& header, Field field) {
  const std::string value = header.substr(field.begin, field.length);
  return value.substr(0, value.find('\0'));
}

// Octal digits, or GNU's base 256 where the first bit is set.
std::optional<uint64_t> number(const std::string& header, Field field) {
  const std::string value = header.substr(field.begin, field.length);
  uint64_t result = 0;
  if (static_cast<uint8_t>(value[0]) & 0x80) {
    for (size_t i = field.length - 8; i < field.length; ++i) {
      result = result << 8 | static_cast<uint8_t>(value[i]);
    }
    return result;
  }
  const size_t first = value.find_first_not_of(' ');
  if (first == std::string::npos) return std::nullopt;
  for (char digit : value.substr(first)) {
    if (digit == ' ' || digit == '\0') break;
    if (digit < '0' || digit > '7') return std::nullopt;
    result = result * 8 + static_cast<uint64_t>(digit - '0');
  }
  return result;
}

bool checksum_matches(const std::string& header) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool own = i >= kChecksum.begin && i < kChecksum.begin + kChecksum.length;
    sum += own ? ' ' : static_cast<uint8_t>(header[i]);
  }
  return number(header, kChecksum) == sum;
}

// The value of "path" among a pax header's records "<length> <key>=<value>\n"; empty if absent.
std::string pax_path(const std::string& records) {
  const size_t found = records.find(" path=");
  if (found == std::string::npos) return "";
  const size_t begin = found + std::strlen(" path=");
  return records.substr(begin, records.find('\n', begin) - begin);
}

std::string entry_name(const std::string& header, const std::string& long_name) {
  std::string name = long_name;
  if (name.empty()) {
    name = text(header, kName);
    const std::string prefix = text(header, kPrefix);
    // GNU's magic is "ustar  " and its prefix field holds other things.
    const bool posix = header.compare(kMagic.begin, 6, std::string("ustar\0", 6)) == 0;
    if (posix && !prefix.empty()) name = prefix + "/" + name;
  }
  return name.starts_with("./") ? name.substr(2) : name;
}

}  // namespace

TarReader::TarReader(const std::filesystem::path& path) : path_(path.string()) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
    const int reason = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw Error(path_ + ": cannot read (" + std::strerror(reason) + ")");
  }
  size_ = static_cast<uint64_t>(status.st_size);
  try {
    read_headers();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

TarReader::~TarReader() { ::close(descriptor_); }

void TarReader::read_headers() {
  const std::string start = read_at(0, std::min<uint64_t>(size_, 2));
  if (is_gzip(as_bytes(start))) {
    throw Error("a gzip file", "a plain tar: decompress it first (gunzip)", path_);
  }
  std::string long_name;
  for (uint64_t offset = 0;;) {
    const auto fail = [&](const std::string& given, const std::string& expected) {
      throw Error(given, expected, at_offset(path_, offset));
    };
    if (size_ - offset < kBlock) {
      fail("the file ends", "a tar header or the mark of the end: the archive is truncated");
    }
    const std::string header = read_at(offset, kBlock);
    if (header.find_first_not_of('\0') == std::string::npos) return;  // the mark of the end
    const auto size = number(header, kSize);
    if (!checksum_matches(header) || !size) {
      fail("no tar header (the checksum does not match)", offset ? "a tar header" : "a tar file");
    }
    const uint64_t content = offset + kBlock;
    if (*size > size_ - content) {
      fail(std::to_string(size_ - content) + " bytes of " + entry_name(header, long_name),
           std::to_string(*size) + ": the archive is truncated");
    }
    switch (text(header, kType).empty() ? '0' : header[kType.begin]) {
      case 'L':  // GNU: the next entry's name
        long_name = read_at(content, *size);
        long_name.resize(std::strlen(long_name.c_str()));
        break;
      case 'x':  // pax: attributes of the next entry
        long_name = pax_path(read_at(content, *size));
        break;
      case '0':
      case '7':
        entries_.push_back({entry_name(header, long_name), content, *size});
        [[fallthrough]];
      default:  // directories, links, GNU and pax attributes that do not matter here
        if (header[kType.begin] != 'K' && header[kType.begin] != 'g') long_name.clear();
    }
    // The padding after the last content may be missing; the next round then reports the end.
    offset = std::min(size_, content + (*size + kBlock - 1) / kBlock * kBlock);
  }
}

std::string TarReader::read(const TarEntry& entry) const {
  return read_at(entry.offset, entry.size);
}

std::string TarReader::read_at(uint64_t offset, uint64_t size) const {
  std::string content(size, '\0');
  for (uint64_t filled = 0; filled < size;) {
    const ssize_t got = ::pread(descriptor_, content.data() + filled, size - filled,
                                static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw Error(std::string("cannot read (") + std::strerror(errno) + ")", "",
                  at_offset(path_, offset + filled));
    }
    if (got == 0) {
      throw Error("the file ends", std::to_string(size - filled) + " more bytes",
                  at_offset(path_, offset + filled));
    }
    filled += static_cast<uint64_t>(got);
  }
  return content;
}

}  // namespace halftone::data
