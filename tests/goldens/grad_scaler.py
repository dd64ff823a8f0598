#!/usr/bin/env python3
"""Goldens of halftone::GradScaler from torch.amp.GradScaler('cpu').

usage: grad_scaler.py          (about a minute on one core; writes beside itself)

grad_scaler_trajectories.txt: 5,000 scripted overflow patterns, then some trajectories in full.
grad_scaler_state.pt: a state_dict as torch.save writes it, after pattern STATE_PATTERN's first half.

A pattern is a number p. Everything in it is drawn from the generator
    x(0) = p, x(n+1) = x(n) * 6364136223846793005 + 1442695040888963407 mod 2^64,
    draw(k) = (x >> 33) mod k
(Knuth's MMIX constants) in the order of the function `pattern`, which
tests/scaling/patterns.h repeats. Lines of the first file:
    p skips scale hash         the scale's fp32 bits in hexadecimal
    full p scale scale ...     after every update()
The hash is 32-bit FNV-1a over the four bytes (low first) of the scale after every update().
"""

import pathlib
import struct

import torch

HERE = pathlib.Path(__file__).resolve().parent
PATTERNS = 5000
FULL = (7, 12, 1003)
STATE_PATTERN = 500

INITS = (65536.0, 1.0, 1024.0, 2.0**24, 2.0**100, 2.0**120)
GROWTHS = (2.0, 2.0, 1.5, 4.0)
BACKOFFS = (0.5, 0.5, 0.75, 0.6)
RATES = (0, 5, 20, 50, 100, 300, 700, 1000)  # overflows per thousand steps


class Draw:
    def __init__(self, seed):
        self.x = seed

    def __call__(self, k):
        self.x = (self.x * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.x >> 33) % k


def pattern(p):
    """(GradScaler options, for each iteration the overflow of each optimizer)."""
    draw = Draw(p)
    for _ in range(4):  # neighbouring seeds start alike
        draw(2)
    init, growth, backoff = INITS[draw(6)], GROWTHS[draw(4)], BACKOFFS[draw(4)]
    interval, rate, length, optimizers = 1 + draw(40), RATES[draw(8)], 20 + draw(90), 1 + draw(2)
    if init >= 2.0**100:  # may reach the end of fp32: growth that must not happen
        growth, backoff = 2.0, 0.5
    if p % 500 == 0:  # the defaults, long enough to grow
        init, growth, backoff, interval, rate, length = 65536.0, 2.0, 0.5, 2000, min(rate, 5), 5000
    steps = [[draw(1000) < rate for _ in range(optimizers)] for _ in range(length)]
    options = dict(init_scale=init, growth_factor=growth, backoff_factor=backoff,
                   growth_interval=interval)
    return options, steps


def run(scaler, steps):
    """(skipped steps, the scale after every update)."""
    count = len(steps[0])
    params = [torch.nn.Parameter(torch.zeros(1)) for _ in range(count)]
    applied = [0] * count
    optimizers = []
    for i, param in enumerate(params):
        optimizer = torch.optim.SGD([param], lr=0.0, foreach=False)
        optimizer.step = lambda i=i: applied.__setitem__(i, applied[i] + 1)
        optimizers.append(optimizer)
    scales = []
    scaler.scale(torch.zeros(()))
    for overflows in steps:
        for param, optimizer, overflow in zip(params, optimizers, overflows):
            param.grad = torch.full((1,), float("inf") if overflow else 1.0)
            scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return count * len(steps) - sum(applied), scales


def fnv1a(scales):
    value = 2166136261
    for scale in scales:
        for byte in struct.pack("<f", scale):
            value = (value ^ byte) * 16777619 % 2**32
    return value


def main():
    full = []
    with open(HERE / "grad_scaler_trajectories.txt", "w") as out:
        for p in range(PATTERNS):
            options, steps = pattern(p)
            skips, scales = run(torch.amp.GradScaler("cpu", **options), steps)
            # Halftone's scale stays within fp32's powers of two, where its reciprocal is finite.
            assert all(2.0**-126 <= scale <= 2.0**127 for scale in scales), (p, options)
            bits = struct.unpack("<I", struct.pack("<f", scales[-1]))[0]
            out.write(f"{p} {skips} {bits:08x} {fnv1a(scales):08x}\n")
            if p in FULL:
                full.append(f"full {p} " + " ".join(f"{scale:.9g}" for scale in scales))
        for line in full:
            out.write(line + "\n")

    options, steps = pattern(STATE_PATTERN)
    scaler = torch.amp.GradScaler("cpu", **options)
    run(scaler, steps[: len(steps) // 2])
    torch.save(scaler.state_dict(), HERE / "grad_scaler_state.pt")


if __name__ == "__main__":
    main()
