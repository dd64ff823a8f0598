#include "halftone/kernels/transpose/transpose.h"

#include <ATen/Parallel.h>

#include <numeric>
#include <vector>

#include "tests/support/rungs.h"
#include "tests/support/test.h"

namespace halftone::kernels {
namespace {

TEST(Transpose, MovesEveryElementOnEveryRungAndTouchesNoOther) {
  const int before = at::get_num_threads();
  for_each_rung(transpose_ladder(), [](Isa rung) {
    for (std::int64_t rows : {0, 1, 3, 8, 31, 32, 77, 200}) {
      for (std::int64_t columns : {1, 2, 8, 9, 40, 64, 331}) {
        const std::int64_t size = rows * columns, batch = rows == 200 ? 4 : 2;
        std::vector<std::uint16_t> from(static_cast<std::size_t>(batch * size));
        std::iota(from.begin(), from.end(), std::uint16_t{1});
        for (int threads : {1, 2, 3}) {
          at::set_num_threads(threads);
          std::vector<std::uint16_t> to(from.size() + 2, 0x1234);
          transpose_halves({batch, rows, columns, from.data(), to.data() + 1});
          ASSERT_EQ(to.front(), 0x1234);
          ASSERT_EQ(to.back(), 0x1234);
          for (std::int64_t k = 0; k < batch * size; ++k) {
            const std::int64_t b = k / size, i = k % size / columns, j = k % columns;
            ASSERT_EQ(to[static_cast<std::size_t>(1 + b * size + j * rows + i)],
                      from[static_cast<std::size_t>(k)])
                << isa_name(rung) << " " << rows << "x" << columns;
          }
        }
      }
    }
  });
  at::set_num_threads(before);
}

}  // namespace
}  // namespace halftone::kernels
