// gzip (RFC 1952), decompressed in memory by zlib.
#pragma once

#include <filesystem>
#include <string>

#include "halftone/data/codec/bytes.h"

namespace halftone::data {

// True where the content starts as a gzip file does.
bool is_gzip(Bytes content);

// All members of a gzip file, checksums verified. name: the file, for errors. Throws Error with the
// offset in the compressed file where it is corrupt, truncated, or expands to more than `most`.
std::string gunzip(Bytes compressed, const std::string& name, size_t most = size_t{1} << 30);

}  // namespace halftone::data
