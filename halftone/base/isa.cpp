#include "halftone/base/isa.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "halftone/base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace halftone {
namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

bool bit(unsigned word, int position) { return (word >> position) & 1u; }

// Extended control register 0: which register files the operating system saves (Intel SDM 13.3).
unsigned long long xcr0() {
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
}

// Linux lends the 8 KB tile state on request only (Documentation/arch/x86/xstate.rst).
bool request_amx_permission() {
#ifdef __linux__
  constexpr int kArchReqXcompPerm = 0x1023;
  constexpr int kXfeatureXtileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtileData) == 0;
#else
  return false;
#endif
}

CpuFeatures detect() {
  CpuFeatures f;
  const Registers one = cpuid(1, 0);
  if (!bit(one.ecx, 27)) return f;  // OSXSAVE
  const unsigned long long saved = xcr0();
  const Registers seven = cpuid(7, 0);
  const Registers seven_one = cpuid(7, 1);
  const bool ymm = (saved & 0x6) == 0x6;
  const bool zmm = (saved & 0xe6) == 0xe6;
  const bool tiles = (saved & 0x60000) == 0x60000;
  f.avx2 = ymm && bit(seven.ebx, 5) && bit(one.ecx, 12) && bit(one.ecx, 29);  // + FMA, F16C
  f.avx512 = f.avx2 && zmm && bit(seven.ebx, 16) && bit(seven.ebx, 17) && bit(seven.ebx, 30) &&
             bit(seven.ebx, 31);  // F, DQ, BW, VL
  f.avx512_bf16 = f.avx512 && bit(seven_one.eax, 5);
  f.avx512_fp16 = f.avx512 && bit(seven.edx, 23);
  const bool amx = f.avx512_fp16 && tiles && bit(seven.edx, 24) && bit(seven.edx, 22);
  f.amx_bf16 = amx && request_amx_permission();
  f.amx_fp16 = f.amx_bf16 && bit(seven_one.eax, 21);
  return f;
}

#else

CpuFeatures detect() { return {}; }

#endif

std::string names(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa each : isas) text += (text.empty() ? "" : ", ") + std::string(isa_name(each));
  return text;
}

void require_present(Isa wanted, const std::string& where) {
  for (Isa each : machine_isas()) {
    if (each == wanted) return;
  }
  throw UsageError(isa_name(wanted), "a rung of this machine: " + names(machine_isas()), where);
}

Isa initial() {
  const char* value = std::getenv("HALFTONE_ISA");
  if (!value || !*value) return machine_isas().back();
  for (Isa each : {Isa::ref, Isa::avx2, Isa::avx512, Isa::avx512_fp16, Isa::amx}) {
    if (std::strcmp(value, isa_name(each)) == 0) {
      require_present(each, "HALFTONE_ISA");
      return each;
    }
  }
  throw UsageError(std::string("\"") + value + "\"",
                   "a rung of this machine: " + names(machine_isas()), "HALFTONE_ISA");
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> value{initial()};
  return value;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::ref:
      return "ref";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_fp16:
      return "avx512_fp16";
    case Isa::amx:
      return "amx";
  }
  return "?";
}

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

std::string cpu_name() {
#if defined(__x86_64__)
  unsigned words[12] = {};
  bool known = true;
  for (unsigned i = 0; i < 3; ++i) {
    known &= __get_cpuid(0x80000002u + i, words + 4 * i, words + 4 * i + 1, words + 4 * i + 2,
                         words + 4 * i + 3) != 0;
  }
  char text[49] = {};
  std::memcpy(text, words, 48);
  std::string name(text);
  const auto begin = name.find_first_not_of(' ');
  if (known && begin != std::string::npos) {
    return name.substr(begin, name.find_last_not_of(' ') - begin + 1);
  }
#endif
  return "unknown CPU";
}

const std::vector<Isa>& machine_isas() {
  static const std::vector<Isa> isas = [] {
    std::vector<Isa> list{Isa::ref};
    const CpuFeatures& f = cpu_features();
    if (f.avx2) list.push_back(Isa::avx2);
    if (f.avx512) list.push_back(Isa::avx512);
    if (f.avx512_fp16) list.push_back(Isa::avx512_fp16);
    if (f.amx_bf16) list.push_back(Isa::amx);
    return list;
  }();
  return isas;
}

Isa isa() { return current().load(std::memory_order_relaxed); }

void set_isa(Isa isa) {
  require_present(isa, "set_isa");
  current().store(isa);
}

}  // namespace halftone
