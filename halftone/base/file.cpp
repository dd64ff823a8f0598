#include "halftone/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "halftone/base/error.h"

namespace halftone {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const char* what, int reason) {
  throw Error(path.string() + ": cannot " + what + " (" + std::strerror(reason) + ")");
}

// 0, or errno.
int write_all(int descriptor, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return 0;
}

// A rename is durable only when its directory is. Some file systems refuse to sync a directory:
// then nothing more can be done.
void sync_directory(const std::filesystem::path& directory) {
  const int descriptor = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(path, "read", errno);
  struct stat status {};
  int reason = ::fstat(descriptor, &status) != 0 ? errno : 0;
  std::string content(reason ? 0 : static_cast<std::size_t>(status.st_size), '\0');
  std::size_t filled = 0;
  while (reason == 0) {
    if (filled == content.size()) content.resize(filled + 4096);  // it may have grown
    const ssize_t got = ::read(descriptor, content.data() + filled, content.size() - filled);
    if (got < 0 && errno != EINTR) reason = errno;
    if (got == 0) break;
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  ::close(descriptor);
  if (reason) fail(path, "read", reason);
  content.resize(filled);
  return content;
}

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(path, "create", error.value());
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp") {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) halftone::fail(path_, "write", errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() noexcept {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
  descriptor_ = -1;
}

void AtomicFile::fail(const char* what) {
  const int reason = errno;
  discard();
  halftone::fail(path_, what, reason);
}

void AtomicFile::write(const void* data, std::size_t size) {
  if (descriptor_ < 0) throw Error(path_.string() + ": written after it was closed");
  errno = write_all(descriptor_, static_cast<const char*>(data), size);
  if (errno) fail("write");
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw Error(path_.string() + ": committed after it was closed");
  if (::fsync(descriptor_) != 0) fail("write");
  if (::close(std::exchange(descriptor_, -1)) != 0 ||
      ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    halftone::fail(path_, "write", reason);
  }
  sync_directory(path_.parent_path());
}

void write_file(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content.data(), content.size());
  file.commit();
}

AppendFile::AppendFile(std::filesystem::path path, bool truncate) : path_(std::move(path)) {
  const int mode = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (truncate ? O_TRUNC : 0);
  descriptor_ = ::open(path_.c_str(), mode, 0666);
  if (descriptor_ < 0) fail(path_, "write", errno);
}

AppendFile::~AppendFile() { ::close(descriptor_); }

void AppendFile::append(std::string_view record) {
  if (const int reason = write_all(descriptor_, record.data(), record.size()))
    fail(path_, "write", reason);
}

}  // namespace halftone
