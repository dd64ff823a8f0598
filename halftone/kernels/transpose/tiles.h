// The loops of a transposition over tiles.
#pragma once

#include <algorithm>

#include "halftone/base/parallel.h"
#include "halftone/kernels/transpose/transpose.h"

namespace halftone::kernels {

// A tile's rows: a cache line of `to`. Its columns: four lines of `from`, so that a page is looked
// up a quarter as often; both sides are 8 KB, half of L1.
constexpr std::int64_t kTransposeRows = 32, kTransposeColumns = 128;
// Elements that one task should have at least: some 20 us.
constexpr std::int64_t kTransposeGrain = 65536;

struct TransposeTile {
  const std::uint16_t* from;
  std::uint16_t* to;
  std::int64_t from_pitch, to_pitch;
  std::int64_t rows, columns;  // of from
};

// Tiles whose lines are fetched ahead: their lines are no stream that the processor would fetch.
constexpr std::int64_t kTransposeAhead = 1;

// How a batch of matrices is cut into tiles: those along a row of `to` follow each other.
struct TransposeTiles {
  explicit TransposeTiles(const TransposeArgs& given)
      : args(given),
        across((given.columns + kTransposeColumns - 1) / kTransposeColumns),
        down((given.rows + kTransposeRows - 1) / kTransposeRows),
        count(given.batch * across * down) {}

  TransposeTile at(std::int64_t index) const {
    const std::int64_t i = index % down * kTransposeRows;
    const std::int64_t j = index / down % across * kTransposeColumns;
    const std::int64_t matrix = index / down / across * args.rows * args.columns;
    return {args.from + matrix + i * args.columns + j,
            args.to + matrix + j * args.rows + i,
            args.columns,
            args.rows,
            std::min(kTransposeRows, args.rows - i),
            std::min(kTransposeColumns, args.columns - j)};
  }

  TransposeArgs args;
  std::int64_t across, down, count;
};

template <class Run>  // void(const TransposeTile&)
void for_each_transpose_tile(const TransposeArgs& args, Run run) {
  const TransposeTiles tiles(args);
  parallel_for(0, tiles.count, kTransposeGrain / (kTransposeRows * kTransposeColumns),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t index = begin; index < end; ++index) {
                   if (index + kTransposeAhead < end) {
                     const TransposeTile next = tiles.at(index + kTransposeAhead);
                     for (std::int64_t i = 0; i < next.rows; ++i) {
                       const std::uint16_t* row = next.from + i * next.from_pitch;
                       for (std::int64_t j = 0; j < next.columns; j += kTransposeRows) {
                         __builtin_prefetch(row + j);
                       }
                     }
                   }
                   run(tiles.at(index));
                 }
               });
}

// Rows [row, rows) and columns [column, columns) one by one.
inline void transpose_rest(const TransposeTile& tile, std::int64_t row, std::int64_t column) {
  for (std::int64_t i = row; i < tile.rows; ++i) {
    for (std::int64_t j = column; j < tile.columns; ++j) {
      tile.to[j * tile.to_pitch + i] = tile.from[i * tile.from_pitch + j];
    }
  }
}

}  // namespace halftone::kernels
