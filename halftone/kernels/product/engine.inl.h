// The blocked product (Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication,
// ACM TOMS 34, 2008) over a rung's Unit. Included by the rungs' files inside their anonymous
// namespace; HALFTONE_RUNG_ENTRY is the rung's target attribute.

#include "halftone/kernels/product/packing.inl.h"

constexpr std::int64_t kSharedBytes = std::int64_t{8} << 20;  // of packed B: stays in L3

template <class Unit>
struct ProductWork {
  const ProductArgs& args;
  ProductPlan plan;
  typename Unit::Element* shared_b =
      nullptr;                    // [column block][chunk][panel][group][column], or null
  std::int64_t shared_first = 0;  // its first column block
  const typename Unit::Element* packed_b = nullptr;  // [chunk][panel][group][column], or null
  float* partial = nullptr;                          // [part][m][n], where k is cut into parts
};

// Sizes of a task's buffers in elements.
template <class Unit>
std::int64_t b_block(const ProductPlan& plan) {
  return plan.column_block / Unit::kShape.columns * Unit::kPanel;
}
template <class Unit>
std::int64_t sums_stride(const ProductPlan& plan) {
  return plan.column_block + 16;  // no two rows at the same address modulo 4 KB
}
template <class Unit>
std::int64_t scratch_size(const ProductPlan& plan) {
  return Unit::kLanes * Unit::kShape.group *
         std::max({plan.row_block, plan.column_block, Unit::kShape.chunk});
}

// One task: a block of C, over one part of k.
template <class Unit>
HALFTONE_RUNG_ENTRY void product_block(const ProductWork<Unit>& work, std::int64_t row_block,
                                       std::int64_t column_block, std::int64_t part) {
  constexpr UnitShape kUnit = Unit::kShape;
  const ProductArgs& args = work.args;
  const ProductPlan& plan = work.plan;
  const std::int64_t m0 = row_block * plan.row_block, mn = std::min(plan.row_block, args.m - m0);
  const std::int64_t n0 = column_block * plan.column_block;
  const std::int64_t nn = std::min(plan.column_block, args.n - n0);
  const std::int64_t stride = sums_stride<Unit>(plan);
  auto* a = task_buffer<typename Unit::Element>(
      WorkspaceSlot::own_operand, plan.row_block * Unit::kRowStride + b_block<Unit>(plan));
  auto* own_b = a + plan.row_block * Unit::kRowStride;
  auto* sums = task_buffer<float>(WorkspaceSlot::sums, plan.row_block * stride);
  auto* scratch = task_buffer<std::uint16_t>(WorkspaceSlot::rows, scratch_size<Unit>(plan));

  Unit::begin();
  const std::int64_t first = part * plan.part_chunks;
  const std::int64_t last = std::min(first + plan.part_chunks, plan.chunks);
  for (std::int64_t chunk = first; chunk < last; ++chunk) {
    const std::int64_t k0 = chunk * kUnit.chunk * kUnit.group;
    const std::int64_t kn = std::min(kUnit.chunk * kUnit.group, args.k - k0);
    const std::int64_t groups = ceil_div(kn, kUnit.group);
    const typename Unit::Element* b = own_b;
    if (work.packed_b) {
      const std::int64_t panels = ceil_div(args.n, kUnit.columns);
      b = work.packed_b + (chunk * panels + n0 / kUnit.columns) * Unit::kPanel;
    } else if (work.shared_b) {
      const std::int64_t block = (column_block - work.shared_first) * plan.chunks + chunk;
      b = work.shared_b + block * b_block<Unit>(plan);
    } else {
      pack_b<Unit>(args, n0, nn, k0, kn, own_b, scratch);
    }
    if (args.a_transposed) {
      pack_columns_of_a<Unit>(args, m0, mn, k0, kn, a, scratch);
    } else {
      pack_rows_of_a<Unit>(args, m0, mn, k0, kn, a, scratch);
    }
    // A panel of B stays in L1 while the rows of A pass.
    for (std::int64_t j = 0; j < nn; j += kUnit.columns, b += Unit::kPanel) {
      for (std::int64_t i = 0; i < mn; i += kUnit.rows) {
        Unit::multiply(std::min(kUnit.rows, mn - i), a + i * Unit::kRowStride, b, groups,
                       sums + i * stride + j, stride, chunk > first);
      }
    }
  }
  Unit::end();
  for (std::int64_t i = 0; i < mn; ++i) {
    if (work.partial) {
      float* to = work.partial + (part * args.m + m0 + i) * args.n + n0;
      std::copy(sums + i * stride, sums + i * stride + nn, to);
    } else {
      Unit::write_row(args, m0 + i, n0, nn, sums + i * stride);
    }
  }
}

template <class Unit>
HALFTONE_RUNG_ENTRY void add_parts(const ProductWork<Unit>& work, std::int64_t row) {
  const std::int64_t n = work.args.n;
  float* sums = work.partial + row * n;
  for (std::int64_t part = 1; part < work.plan.parts; ++part) {
    const float* more = work.partial + (part * work.args.m + row) * n;
    for (std::int64_t j = 0; j < n; ++j) sums[j] += more[j];
  }
  Unit::write_row(work.args, row, 0, n, sums);
}

// All tasks of the column blocks [first, last).
template <class Unit>
void run_tasks(const ProductWork<Unit>& work, std::int64_t first, std::int64_t last) {
  const ProductPlan& plan = work.plan;
  const std::int64_t blocks = (last - first) * plan.row_blocks;
  const std::int64_t tasks = blocks * plan.parts;
  parallel_for(0, tasks, plan.serial ? tasks : 1, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t block = task % blocks;
      product_block<Unit>(work, block % plan.row_blocks, first + block / plan.row_blocks,
                          task / blocks);
    }
  });
}

// B packed once for all row blocks, as many column blocks at a time as stay in L3.
template <class Unit>
void run_shared(ProductWork<Unit>& work) {
  const ProductPlan& plan = work.plan;
  const std::int64_t block = b_block<Unit>(plan);
  const std::int64_t bytes = block * plan.chunks * std::int64_t{sizeof(typename Unit::Element)};
  const std::int64_t slice = std::clamp<std::int64_t>(kSharedBytes / bytes, 1, plan.column_blocks);
  work.shared_b = task_buffer<typename Unit::Element>(WorkspaceSlot::shared_operand,
                                                      slice * plan.chunks * block);
  for (std::int64_t first = 0; first < plan.column_blocks; first += slice) {
    const std::int64_t last = std::min(first + slice, plan.column_blocks);
    work.shared_first = first;
    const std::int64_t packs = (last - first) * plan.chunks;
    parallel_for(0, packs, plan.serial ? packs : 1, [&](std::int64_t from, std::int64_t to) {
      auto* scratch = task_buffer<std::uint16_t>(WorkspaceSlot::rows, scratch_size<Unit>(plan));
      for (std::int64_t i = from; i < to; ++i) {
        const std::int64_t n0 = (first + i / plan.chunks) * plan.column_block;
        const std::int64_t k0 = i % plan.chunks * Unit::kShape.chunk * Unit::kShape.group;
        pack_b<Unit>(work.args, n0, std::min(plan.column_block, work.args.n - n0), k0,
                     std::min(Unit::kShape.chunk * Unit::kShape.group, work.args.k - k0),
                     work.shared_b + i * block, scratch);
      }
    });
    run_tasks(work, first, last);
  }
}

template <class Unit>
char unit_mark;  // its address names the unit

// All of B, whatever blocks a product will be cut into.
template <class Unit>
void pack_whole_b(const ProductArgs& args) {
  constexpr UnitShape kUnit = Unit::kShape;
  constexpr std::int64_t kChunk = kUnit.chunk * kUnit.group;
  const std::int64_t panels = ceil_div(args.n, kUnit.columns), chunks = ceil_div(args.k, kChunk);
  const std::int64_t blocks = ceil_div(args.n, kColumnBlock),
                     elements = chunks * panels * Unit::kPanel;
  auto* packed = static_cast<typename Unit::Element*>(
      args.pack_to->allocate(&unit_mark<Unit>, args.n, args.k,
                             static_cast<std::size_t>(elements) * sizeof(typename Unit::Element)));
  parallel_for(0, chunks * blocks, 1, [&](std::int64_t from, std::int64_t to) {
    auto* scratch = task_buffer<std::uint16_t>(
        WorkspaceSlot::rows, Unit::kLanes * kUnit.group * std::max(kColumnBlock, kUnit.chunk));
    for (std::int64_t i = from; i < to; ++i) {
      const std::int64_t chunk = i / blocks, n0 = i % blocks * kColumnBlock;
      pack_b<Unit>(args, n0, std::min(kColumnBlock, args.n - n0), chunk * kChunk,
                   std::min(kChunk, args.k - chunk * kChunk),
                   packed + (chunk * panels + n0 / kUnit.columns) * Unit::kPanel, scratch);
    }
  });
}

template <class Unit>
void run_product(const ProductArgs& args) {
  if (args.m <= 0 || args.n <= 0) return;
  if (args.k <= 0) return ref::product(args);
  if (args.pack_to) return pack_whole_b<Unit>(args);
  ProductWork<Unit> work{args, plan_product(args.m, args.n, args.k, Unit::kShape)};
  const ProductPlan& plan = work.plan;
  if (args.packed_b) {
    work.packed_b = static_cast<const typename Unit::Element*>(
        args.packed_b->of(&unit_mark<Unit>, args.n, args.k));
  }
  if (plan.parts > 1) {
    work.partial = task_buffer<float>(WorkspaceSlot::layout, plan.parts * args.m * args.n);
  }
  const std::int64_t b_bytes =
      b_block<Unit>(plan) * plan.chunks * std::int64_t{sizeof(typename Unit::Element)};
  const bool share =
      !work.packed_b && plan.row_blocks > 1 && plan.parts == 1 && b_bytes <= kSharedBytes;
  if (share) {
    run_shared(work);
  } else {
    run_tasks(work, 0, plan.column_blocks);
  }
  if (!work.partial) return;
  parallel_for(0, args.m, 1, [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) add_parts(work, row);
  });
}
