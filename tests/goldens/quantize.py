"""Writes quantize.txt: what PyPI's ml_dtypes makes of numbers in formats of at most eight bits, as
hashes, for tests/kernels/quantize_golden_test.cpp, which makes the same inputs and hashes.

usage: pip install numpy ml_dtypes && python tests/goldens/quantize.py   (ten seconds)

A hash of words w is the sum of mix64(i << 32 | w[i]) modulo 2^64. Columns, of a minifloat:
  decode     the bits of the fp32 that each code means
  fp16 bf16  the codes of all 65,536 halves
  fp16-back  the bits of the halves that those codes mean
  random     the codes of 10^7 fp32 (see random_bits)
  back       the bits of the fp32 that those codes mean
  saturated  the codes of the same fp32 cut to the format's range
of a fixed-point format, with numpy alone: the codes of the random fp32 with scale 0.037; of a block
format: codes, scales and fp32 bits of 1000 rows of 1000 fp32 (see block_bits), by OCP MX v1.0, 6.3.
"""

import pathlib

import ml_dtypes
import numpy as np

COUNT = 10_000_000
CHUNK = 1_000_000
SCALE = np.float32(0.037)

# name: (ml_dtypes' name, smallest normal exponent, mantissa bits, exponent of the largest number)
MINIFLOATS = {
    "e4m3fn": ("float8_e4m3fn", -6, 3, 8),
    "e4m3": ("float8_e4m3", -6, 3, 7),
    "e4m3fnuz": ("float8_e4m3fnuz", -7, 3, 7),
    "e4m3b11fnuz": ("float8_e4m3b11fnuz", -10, 3, 4),
    "e5m2": ("float8_e5m2", -14, 2, 15),
    "e5m2fnuz": ("float8_e5m2fnuz", -15, 2, 15),
    "e3m4": ("float8_e3m4", -2, 4, 3),
    "e2m3fn": ("float6_e2m3fn", 0, 3, 2),
    "e3m2fn": ("float6_e3m2fn", -2, 2, 4),
    "e2m1fn": ("float4_e2m1fn", 0, 1, 2),
}
FIXED = {"int8": 127, "int4": 7, "int2": 1}
BLOCKS = {"mxfp8-e4m3": "e4m3fn", "mxfp8-e5m2": "e5m2", "mxfp6-e2m3": "e2m3fn",
          "mxfp6-e3m2": "e3m2fn", "mxfp4-e2m1": "e2m1fn"}


def mix64(x):
    """Steele, Lea, Flood 2014: halftone/kernels/optimizer/rounding.h."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def hash_words(words, start=0):
    index = np.arange(start, start + words.size, dtype=np.uint64)
    return int(mix64(index << np.uint64(32) | words.ravel().astype(np.uint64)).sum(dtype=np.uint64))


def random_bits(index, low, high):
    """Even elements: any bits. Odd ones: an exponent from low to high, and a fraction of which
    often only some bits are set, so that ties are frequent."""
    h = mix64(index)
    exponent = np.uint64(low + 127) + (h >> np.uint64(1) & np.uint64(0xFFFF)) % np.uint64(high - low + 1)
    cut = np.minimum(h >> np.uint64(17) & np.uint64(31), np.uint64(23))
    fraction = (h >> np.uint64(41)) >> cut << cut
    shaped = (h & np.uint64(1)) << np.uint64(31) | exponent << np.uint64(23) | fraction
    return np.where(index & np.uint64(1), shaped, h >> np.uint64(32)).astype(np.uint32)


def block_bits(index):
    """A range of twelve binades for each 32 neighbours, some of it subnormal or beyond fp32's; of
    4096 elements one has any bits."""
    h = mix64(index)
    base = mix64((index >> np.uint64(5)) + np.uint64(1 << 40)) % np.uint64(250)
    exponent = np.minimum(base + (h >> np.uint64(1)) % np.uint64(12), np.uint64(254))
    shaped = (h & np.uint64(1)) << np.uint64(31) | exponent << np.uint64(23) | h >> np.uint64(41)
    return np.where(h >> np.uint64(20) & np.uint64(4095), shaped, h >> np.uint64(32)).astype(np.uint32)


def minifloat_line(name, ml_name, smallest, mantissa, largest):
    kind = getattr(ml_dtypes, ml_name)
    limit = np.float32(ml_dtypes.finfo(kind).max)
    codes = np.arange(256 if "8" in ml_name.split("_")[0] else 1 << int(ml_name[5]), dtype=np.uint8)
    halves = np.arange(65536, dtype=np.uint16)
    from_fp16 = halves.view(np.float16).astype(kind)
    sums = {"decode": hash_words(codes.view(kind).astype(np.float32).view(np.uint32)),
            "fp16": hash_words(from_fp16.view(np.uint8)),
            "bf16": hash_words(halves.view(ml_dtypes.bfloat16).astype(kind).view(np.uint8)),
            "fp16-back": hash_words(from_fp16.astype(np.float16).view(np.uint16)),
            "random": 0, "back": 0, "saturated": 0}
    for start in range(0, COUNT, CHUNK):
        index = np.arange(start, start + CHUNK, dtype=np.uint64)
        x = random_bits(index, smallest - mantissa - 2, largest + 2).view(np.float32)
        rounded = x.astype(kind)
        sums["random"] += hash_words(rounded.view(np.uint8), start)
        sums["back"] += hash_words(rounded.astype(np.float32).view(np.uint32), start)
        cut = np.where(np.isnan(x), x, np.clip(x, -limit, limit)).astype(kind)
        sums["saturated"] += hash_words(cut.view(np.uint8), start)
    return " ".join([name] + [f"{key} {value % 2**64:016x}" for key, value in sums.items()])


def fixed_line(name, largest):
    total = 0
    for start in range(0, COUNT, CHUNK):
        index = np.arange(start, start + CHUNK, dtype=np.uint64)
        x = random_bits(index, -6, 4).view(np.float32)
        steps = np.rint(x * (np.float32(1) / SCALE))
        steps = np.where(np.isnan(steps), 0, np.clip(steps, -largest, largest))
        total += hash_words(steps.astype(np.int8).view(np.uint8), start)
    return f"{name} random {total % 2**64:016x}"


def block_line(name, element):
    ml_name, _, _, largest = MINIFLOATS[element]
    kind = getattr(ml_dtypes, ml_name)
    limit = np.float32(ml_dtypes.finfo(kind).max)
    rows = columns = 1000
    blocks = (columns + 31) // 32
    x = np.zeros((rows, blocks * 32), np.float32)
    x[:, :columns] = block_bits(np.arange(rows * columns, dtype=np.uint64)).view(np.float32).reshape(rows, columns)
    x = x.reshape(rows, blocks, 32)
    peak = np.abs(x).max(axis=2)  # NaN where one is
    bad = ~np.isfinite(peak)
    _, exponent = np.frexp(np.where(bad | (peak == 0), np.float32(2.0**-149), peak))
    shared = np.maximum(exponent - 1 - largest, -127)
    scale = np.where(bad, 255, shared + 127).astype(np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    scaled = x * np.where(bad, np.float32(1), np.ldexp(np.float32(1), -shared))[:, :, None]
    codes = np.clip(np.where(bad[:, :, None], 0, scaled), -limit, limit).astype(kind)
    back = codes.astype(np.float32) * scale[:, :, None]
    back[np.isnan(back)] = np.float32(np.nan)
    codes = codes.view(np.uint8)
    codes[np.broadcast_to(bad[:, :, None], codes.shape)] = 0  # what a NaN block holds says nothing
    def sums(a):
        return hash_words(a.reshape(rows, -1)[:, :columns])
    scales = np.where(bad, 255, shared + 127).astype(np.uint8)
    return (f"{name} codes {sums(codes):016x} scales {hash_words(scales):016x} "
            f"back {sums(back.view(np.uint32)):016x}")


def main():
    np.seterr(all="ignore")
    lines = [f"# ml_dtypes {ml_dtypes.__version__}, numpy {np.__version__}"]
    lines += [minifloat_line(name, *about) for name, about in MINIFLOATS.items()]
    e8m0 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    lines.append(f"e8m0 decode {hash_words(e8m0.view(np.uint32)):016x}")
    lines += [fixed_line(name, largest) for name, largest in FIXED.items()]
    lines += [block_line(name, element) for name, element in BLOCKS.items()]
    pathlib.Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
