// AMX's tiles and AVX512_FP16's arithmetic, emulated: for the tests of the units over them.
// Included inside a test's namespace, behind product/units_fp16.inl.h and half_matrix.h.

// A tile: 16 rows of 64 bytes.
struct Tile {
  alignas(64) char bytes[16][64];

  void load(const void* p, std::int64_t stride) {
    for (int i = 0; i < 16; ++i)
      std::memcpy(bytes[i], static_cast<const char*>(p) + i * stride, 64);
  }
  void store(void* p, std::int64_t stride) const {
    for (int i = 0; i < 16; ++i) std::memcpy(static_cast<char*>(p) + i * stride, bytes[i], 64);
  }
  template <class T>
  T at(int row, int column) const {
    T value;
    std::memcpy(&value, bytes[row] + static_cast<std::size_t>(column) * sizeof(T), sizeof(T));
    return value;
  }
};

// TDPBF16PS and TDPFP16PS (Intel SDM, volume 2), without the flush of subnormals.
template <HalfFormat format>
struct EmulatedTiles {
  static inline thread_local Tile sums[2][2], a[2], b[2];
  static inline thread_local bool configured = false;

  static void begin() { configured = true; }
  static void end() { configured = false; }
  static void load_a(int tile, const void* p, std::int64_t stride) { a[tile].load(p, stride); }
  static void load_b(int tile, const void* p, std::int64_t stride) { b[tile].load(p, stride); }
  static void load_sums(int row, int column, const float* p, std::int64_t stride) {
    sums[row][column].load(p, stride);
  }
  static void store_sums(int row, int column, float* p, std::int64_t stride) {
    sums[row][column].store(p, stride);
  }
  static void zero_sums(int row, int column) { sums[row][column] = {}; }
  static void multiply_into(int row, int column, int left, int right) {
    EXPECT_TRUE(configured);
    Tile& to = sums[row][column];
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 16; ++j) {
        auto sum = to.at<float>(i, j);
        for (int k = 0; k < 32; ++k) {
          sum += half_to_float(format, a[left].at<std::uint16_t>(i, k)) *
                 half_to_float(format, b[right].at<std::uint16_t>(k / 2, 2 * j + k % 2));
        }
        std::memcpy(to.bytes[i] + j * 4, &sum, 4);
      }
    }
  }
  static void multiply(int row, int column) { multiply_into(row, column, row, column); }
};

// VFMADD231PH: one rounding to fp16 per product and sum.
struct EmulatedFp16 {
  static void block(const std::uint16_t* a, const std::uint16_t* b, std::int64_t groups,
                    std::uint16_t* tile) {
    for (int i = 0; i < 14; ++i) {
      for (int j = 0; j < 64; ++j) {
        std::uint16_t sum = 0;
        for (std::int64_t k = 0; k < groups; ++k) {
          const double exact = static_cast<double>(fp16_to_float(a[i * kFp16RowStride + k])) *
                                   fp16_to_float(b[k * 64 + j]) +
                               fp16_to_float(sum);
          sum = float_to_fp16(static_cast<float>(exact));
        }
        tile[i * 64 + j] = sum;
      }
    }
  }
};
