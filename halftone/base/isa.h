// The rungs of the kernel ladder and which of them this process may climb.
#pragma once

#include <string>
#include <vector>

#include "halftone/base/export.h"

namespace halftone {

// Lowest to highest; each rung of a machine implies those below it.
//   avx2         AVX2, FMA, F16C
//   avx512       AVX-512 F, BW, DQ, VL
//   avx512_fp16  + AVX512_FP16
//   amx          + AMX-TILE and AMX-BF16 with the operating system's permission
enum class Isa { ref, avx2, avx512, avx512_fp16, amx };

HALFTONE_API const char* isa_name(Isa isa);

// What CPUID and XGETBV say beyond the rung. Fixed for the life of the process.
struct CpuFeatures {
  bool avx2 = false, avx512 = false, avx512_bf16 = false, avx512_fp16 = false;
  bool amx_bf16 = false, amx_fp16 = false;  // only with the operating system's permission
};
HALFTONE_API const CpuFeatures& cpu_features();

// The CPU's name as it gives it ("AMD EPYC …"), or "unknown CPU".
HALFTONE_API std::string cpu_name();

// The rungs of this machine, lowest first.
HALFTONE_API const std::vector<Isa>& machine_isas();

// The rung in force: the machine's highest, or the one that HALFTONE_ISA names. Throws Error where
// HALFTONE_ISA names no rung or one that the machine lacks (it lists those there are).
HALFTONE_API Isa isa();

// Tests only: forces a rung of machine_isas() for all threads; throws Error for another.
HALFTONE_API void set_isa(Isa isa);

}  // namespace halftone
