// A row of sums to C, as the arguments say. Included behind a rung's vector/vec_*.inl.h.

template <HalfFormat format>
HALFTONE_RUNG_ENTRY void write_halves(const ProductArgs& args, std::int64_t i, std::int64_t j,
                                      std::int64_t count, const float* sums) {
  const std::int64_t at = c_offset(args, i) + j;
  const std::uint16_t* d = args.d ? args.d + i * args.d_stride + j : nullptr;
  for (std::int64_t x = 0; x < count; x += kLanes) {
    const std::int64_t part = std::min(kLanes, count - x);
    Vec value = splat(args.alpha) * load_part(sums + x, part);
    if (d) value = value + splat(args.beta) * load_half_part(format, d + x, part);
    // NaN stays: the second operand.
    if (args.activation == ProductEpilogue::relu) value = larger(splat(0), value);
    if (args.c_fp32) {
      store_part(static_cast<float*>(args.c) + at + x, value, part);
    } else if (part == kLanes) {
      store_half(format, static_cast<std::uint16_t*>(args.c) + at + x, value);
    } else {
      store_half_part(format, static_cast<std::uint16_t*>(args.c) + at + x, value, part);
    }
  }
}
