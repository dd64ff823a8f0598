#include <vector>

#include "halftone/kernels/product/epilogue.h"
#include "halftone/kernels/product/product.h"

namespace halftone::kernels::ref {

void product(const ProductArgs& args) {
  if (args.pack_to) return;
  const auto n = static_cast<std::size_t>(args.n), k = static_cast<std::size_t>(args.k);
  std::vector<double> sums(n);
  std::vector<std::uint16_t> scratch(std::max<std::size_t>(n, k) + 1);
  const auto widen = [&](std::uint16_t bits) -> double { return half_to_float(args.format, bits); };
  for (std::int64_t i = 0; i < args.m; ++i) {
    std::vector<double> row(k);
    if (args.a_transposed) {
      for (std::size_t p = 0; p < k; ++p) {
        row[p] = widen(*args.a.read(args.a, static_cast<std::int64_t>(p), i, 1, scratch.data()));
      }
    } else if (k) {
      const std::uint16_t* a = args.a.read(args.a, i, 0, args.k, scratch.data());
      for (std::size_t p = 0; p < k; ++p) row[p] = widen(a[p]);
    }
    std::fill(sums.begin(), sums.end(), 0.0);
    if (args.b_transposed) {
      for (std::size_t j = 0; j < n && k; ++j) {
        const std::uint16_t* b =
            args.b.read(args.b, static_cast<std::int64_t>(j), 0, args.k, scratch.data());
        for (std::size_t p = 0; p < k; ++p) sums[j] += row[p] * widen(b[p]);
      }
    } else {
      for (std::size_t p = 0; p < k && n; ++p) {
        const std::uint16_t* b =
            args.b.read(args.b, static_cast<std::int64_t>(p), 0, args.n, scratch.data());
        for (std::size_t j = 0; j < n; ++j) sums[j] += row[p] * widen(b[j]);
      }
    }
    for (std::size_t j = 0; j < n; ++j) {
      write_element(args, i, static_cast<std::int64_t>(j), static_cast<float>(sums[j]));
    }
  }
}

}  // namespace halftone::kernels::ref
