// How a product is cut into blocks: by shape alone, so that results don't depend on the threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace halftone::kernels {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// What a rung's unit multiplies at once: `rows` x `columns` sums in registers, `group` elements of
// k in a dword, `chunk` dwords of k between two visits of the sums (derived where it is defined).
struct UnitShape {
  std::int64_t rows, columns, group, chunk;
};

struct ProductPlan {
  std::int64_t row_block, column_block;  // of C, to one task; multiples of the unit's
  std::int64_t row_blocks, column_blocks;
  std::int64_t groups, chunks;      // of k
  std::int64_t parts, part_chunks;  // k is summed in this many parts, each to one task
  bool serial;                      // too little work to hand out
};

constexpr std::int64_t kProductSerial = std::int64_t{1} << 20;  // m*n*k: some 20 us of one core
constexpr std::int64_t kProductTasks = 16;  // enough to keep 8 threads evenly busy
// A block of A (8 x 14 rows of 1 KB) and its sums (229 KB) fit a 1 MB L2 twice.
constexpr std::int64_t kRowTiles = 8;
constexpr std::int64_t kColumnBlock = 512;

inline ProductPlan plan_product(std::int64_t m, std::int64_t n, std::int64_t k, UnitShape unit) {
  ProductPlan p{};
  p.serial = m * n <= kProductSerial / std::max<std::int64_t>(k, 1);
  p.groups = ceil_div(k, unit.group);
  p.chunks = ceil_div(p.groups, unit.chunk);
  p.row_blocks = ceil_div(m, unit.rows * kRowTiles);
  p.column_blocks = ceil_div(n, kColumnBlock);
  const auto tasks = [&] { return p.row_blocks * p.column_blocks; };
  const auto missing = [&] { return p.serial ? 1 : ceil_div(kProductTasks, tasks()); };
  // A long k is cut before C is: smaller blocks of C pack A and B more often. Each part visits the
  // sums at least 8 times before they are added up.
  p.parts = std::max<std::int64_t>(1, std::min(missing(), p.chunks / 8));
  // Blocks of C no smaller than 4 tiles either way.
  while (!p.serial && tasks() * p.parts < kProductTasks) {
    if (n >= 8 * unit.columns * p.column_blocks) {
      p.column_blocks *= 2;
    } else if (m >= 8 * unit.rows * p.row_blocks) {
      p.row_blocks *= 2;
    } else {
      break;
    }
  }
  p.row_block = round_up(ceil_div(m, p.row_blocks), unit.rows);
  p.column_block = round_up(ceil_div(n, p.column_blocks), unit.columns);
  p.row_blocks = ceil_div(m, p.row_block);
  p.column_blocks = ceil_div(n, p.column_block);
  p.part_chunks = ceil_div(p.chunks, p.parts);
  p.parts = p.chunks ? ceil_div(p.chunks, p.part_chunks) : 1;
  return p;
}

}  // namespace halftone::kernels
