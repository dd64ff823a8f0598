// Function target attributes of the rungs: a kernel's functions carry them, no file is compiled
// with -m flags, so that no std:: template is ever instantiated for more than the baseline CPU.
#pragma once

#if defined(__x86_64__)
#define HALFTONE_X86 1
#define HALFTONE_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define HALFTONE_TARGET_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")))
#define HALFTONE_TARGET_AVX512_FP16 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512fp16")))
#define HALFTONE_TARGET_AMX \
  __attribute__((           \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512fp16,amx-tile,amx-bf16")))
#else
#define HALFTONE_X86 0
#endif
