#!/usr/bin/env python3
"""Halftone's fp32 training step of ResNet-18 (CIFAR stem) against the same step in Python PyTorch,
interleaved: one step here, one there, on the same number of threads. Prints one line of JSON.

usage: bench/resnet18_vs_python.py [--build build/release] [--batch 64] [--steps 20]"""

import argparse
import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/goldens"))
from models import resnet18  # noqa: E402  (the network that the goldens are made from)

WARM_UP = 3
PAUSE_S = 0.02  # lets the other side's OpenMP threads stop spinning


class Python:
    """The best that stock PyTorch offers for fp32: channels-last, the fused optimizer."""

    def __init__(self, batch):
        torch.manual_seed(1)
        self.model = resnet18(3, 32, 32, imagenet=False).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9,
                                         weight_decay=5e-4, fused=True)
        self.input = torch.randn(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        self.target = torch.randint(10, (batch,))

    def step(self):
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self.model(self.input), self.target)
        loss.backward()
        self.optimizer.step()
        loss.item()
        return 1e3 * (time.perf_counter() - start)


class Halftone:
    def __init__(self, build, batch, threads):
        self.process = subprocess.Popen(
            [pathlib.Path(build) / "bin/bench_step_server", str(batch), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self):
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=ROOT / "build/release")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    threads = torch.get_num_threads()
    arms = {"python": Python(args.batch), "halftone": Halftone(args.build, args.batch, threads)}
    times = {name: [] for name in arms}
    order = list(arms)
    for step in range(WARM_UP + args.steps):
        random.shuffle(order)
        for name in order:
            took = arms[name].step()
            if step >= WARM_UP:
                times[name].append(took)
            time.sleep(PAUSE_S)
    ratios = sorted(h / p for h, p in zip(times["halftone"], times["python"]))
    quarter = len(ratios) // 4
    print(json.dumps({
        "what": f"ResNet-18/CIFAR step, batch {args.batch}, fp32, {threads} threads",
        "halftone_ms": round(statistics.median(times["halftone"]), 2),
        "python_ms": round(statistics.median(times["python"]), 2),
        "ratio": round(statistics.median(ratios), 4),
        "ratio_iqr": [round(ratios[quarter], 4), round(ratios[-1 - quarter], 4)],
        "target": "<= 1.03"}))


if __name__ == "__main__":
    main()
