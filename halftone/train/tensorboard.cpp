#include "halftone/train/tensorboard.h"

#include <unistd.h>

#include <bit>
#include <chrono>

#include "halftone/base/crc32c.h"

namespace halftone {
namespace {

// Protocol Buffers' wire format: a field is varint(number << 3 | type), then its value.
enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_tag(std::string& out, int field, WireType type) {
  put_varint(out, static_cast<std::uint64_t>(field) << 3 | type);
}

template <class Integer>
void put_fixed(std::string& out, Integer value) {  // little endian
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

void put_bytes(std::string& out, int field, const std::string& value) {
  put_tag(out, field, kBytes);
  put_varint(out, value.size());
  out += value;
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::filesystem::path file_name(const std::filesystem::path& directory) {
  make_directories(directory);
  const std::string stem = "events.out.tfevents." + std::to_string(static_cast<long>(now())) +
                           ".halftone." + std::to_string(::getpid());
  // TensorBoard reads a directory's files in the order of their names.
  for (int i = 0;; ++i) {
    auto path = directory / (stem + "." + std::to_string(i));
    if (!std::filesystem::exists(path)) return path;
  }
}

void put_double(std::string& out, int field, double value) {
  put_tag(out, field, kFixed64);
  put_fixed(out, std::bit_cast<std::uint64_t>(value));
}

// HistogramProto; a value counts as the middle of its bucket.
std::string histogram_message(const EventWriter::Histogram& histogram) {
  double count = 0, sum = 0, squares = 0;
  std::string limits, counts;
  for (const auto& [limit, number] : histogram.buckets) {
    const double value = limit - 0.5;
    count += number;
    sum += number * value;
    squares += number * value * value;
    put_fixed(limits, std::bit_cast<std::uint64_t>(limit));
    put_fixed(counts, std::bit_cast<std::uint64_t>(number));
  }
  std::string message;
  put_double(message, 1, histogram.buckets.front().first - 1);  // min
  put_double(message, 2, histogram.buckets.back().first);       // max
  put_double(message, 3, count);
  put_double(message, 4, sum);
  put_double(message, 5, squares);
  put_bytes(message, 6, limits);  // bucket_limit, packed
  put_bytes(message, 7, counts);  // bucket
  return message;
}

}  // namespace

EventWriter::EventWriter(const std::filesystem::path& directory) : file_(file_name(directory)) {
  std::string version;
  put_bytes(version, 3, "brain.Event:2");  // Event.file_version
  add_event(0, version);
}

void EventWriter::add_event(std::int64_t step, const std::string& fields) {
  std::string event;
  put_tag(event, 1, kFixed64);  // Event.wall_time
  put_fixed(event, std::bit_cast<std::uint64_t>(now()));
  put_tag(event, 2, kVarint);  // Event.step
  put_varint(event, static_cast<std::uint64_t>(step));
  event += fields;

  std::string record;
  put_fixed(record, static_cast<std::uint64_t>(event.size()));
  put_fixed(record, masked_crc32c(crc32c(record.data(), record.size())));
  record += event;
  put_fixed(record, masked_crc32c(crc32c(event.data(), event.size())));
  file_.append(record);
}

void EventWriter::add_scalars(std::int64_t step, const Scalars& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    std::string entry;
    put_bytes(entry, 1, tag);     // Summary.Value.tag
    put_tag(entry, 2, kFixed32);  // Summary.Value.simple_value
    put_fixed(entry, std::bit_cast<std::uint32_t>(static_cast<float>(value)));
    put_bytes(summary, 1, entry);  // Summary.value
  }
  std::string fields;
  put_bytes(fields, 5, summary);  // Event.summary
  add_event(step, fields);
}

void EventWriter::add_histograms(std::int64_t step, const std::vector<Histogram>& histograms) {
  std::string summary;
  for (const Histogram& histogram : histograms) {
    if (histogram.buckets.empty()) continue;
    std::string entry;
    put_bytes(entry, 1, histogram.tag);                 // Summary.Value.tag
    put_bytes(entry, 5, histogram_message(histogram));  // Summary.Value.histo
    put_bytes(summary, 1, entry);
  }
  std::string fields;
  put_bytes(fields, 5, summary);
  add_event(step, fields);
}

void EventWriter::add_restart(std::int64_t step) {
  std::string log;
  put_tag(log, 1, kVarint);  // SessionLog.status
  put_varint(log, 1);        // START
  std::string fields;
  put_bytes(fields, 7, log);  // Event.session_log
  add_event(step, fields);
}

}  // namespace halftone
