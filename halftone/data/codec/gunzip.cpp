#include "halftone/data/codec/gunzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "halftone/base/error.h"

namespace halftone::data {
namespace {

constexpr int kGzipOnly = 16 + MAX_WBITS;
constexpr size_t kFirstOutput = size_t{1} << 16;

class Inflater {
 public:
  Inflater(Bytes compressed, const std::string& name) : compressed_(compressed), name_(name) {
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw Error(name_ + ": zlib cannot start");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Reads one member, adding to `out`.
  void member(std::string& out, size_t most) {
    if (!is_gzip(compressed_.subspan(offset_))) {
      fail("no gzip header", offset_ == 0 ? "a gzip file" : "a gzip member or the file's end");
    }
    inflateReset(&stream_);
    for (int status = Z_OK; status != Z_STREAM_END;) {
      if (produced_ == out.size()) grow(out, most);
      status = step(out);
      if (status == Z_DATA_ERROR || status == Z_NEED_DICT) {
        fail(std::string("corrupt gzip data (") + (stream_.msg ? stream_.msg : "unknown") + ")",
             "a whole gzip file");
      }
      if (status == Z_MEM_ERROR) throw Error(name_ + ": not enough memory to decompress");
      if (status != Z_STREAM_END && offset_ == compressed_.size() && produced_ < out.size()) {
        fail("the gzip data ends", "more of it: the file is truncated");
      }
    }
  }

  bool done() const { return offset_ == compressed_.size(); }
  size_t produced() const { return produced_; }

 private:
  int step(std::string& out) {
    constexpr size_t kMost = std::numeric_limits<uInt>::max();
    const auto in = static_cast<uInt>(std::min(kMost, compressed_.size() - offset_));
    const auto room = static_cast<uInt>(std::min(kMost, out.size() - produced_));
    stream_.next_in = const_cast<Bytef*>(compressed_.data() + offset_);
    stream_.avail_in = in;
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + produced_);
    stream_.avail_out = room;
    const int status = inflate(&stream_, Z_NO_FLUSH);
    offset_ += in - stream_.avail_in;
    produced_ += room - stream_.avail_out;
    return status;
  }

  void grow(std::string& out, size_t most) {
    if (out.size() >= most) {
      fail("more than " + std::to_string(most) + " bytes of content", "a smaller file");
    }
    out.resize(std::min(most, std::max(kFirstOutput, 2 * out.size())));
  }

  [[noreturn]] void fail(const std::string& given, const std::string& expected) {
    throw Error(given, expected, at_offset(name_, offset_));
  }

  Bytes compressed_;
  std::string name_;
  z_stream stream_{};
  size_t offset_ = 0, produced_ = 0;
};

}  // namespace

bool is_gzip(Bytes content) {
  return content.size() >= 2 && content[0] == 0x1f && content[1] == 0x8b;
}

std::string gunzip(Bytes compressed, const std::string& name, size_t most) {
  Inflater inflater(compressed, name);
  std::string out;
  do {
    inflater.member(out, most);
  } while (!inflater.done());
  out.resize(inflater.produced());
  return out;
}

}  // namespace halftone::data
