#!/usr/bin/env python3
"""Whole training steps of a ResNet-50, a ResNet-18 (CIFAR) and a BERT-like encoder: stock PyTorch in
every mode that it offers against Halftone's kernels, one step of each in turn in one process, on
random data. Prints medians, quartiles and the ratio to the best stock mode, and the peak of tensor
memory against stock fp32's (blocks of 16 KiB and more, of the caching allocator).

usage: bench/training_steps.py [--library build/release/lib/libhalftone.so] [--steps 7]
                               [--network resnet50 resnet18 encoder] [--batch N] [--size 224]
                               [--mode MODE ...] [--compile] [--tcmalloc]
                               [--json FILE]"""

import argparse
import ctypes.util
import json
import os
import pathlib
import statistics
import sys
import time
import warnings

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/goldens"))
sys.path.insert(0, str(ROOT / "python"))
from models import resnet18, resnet50  # noqa: E402  (the networks that the goldens are made from)

CHANNELS_LAST = torch.channels_last


class Encoder(torch.nn.Module):
    """Four layers of BERT-base's width."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(30522, 768)
        layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, activation="gelu",
                                                 batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = torch.nn.Linear(768, 2)

    def forward(self, tokens):
        return self.head(self.layers(self.embedding(tokens))[:, 0])


def images(batch, size, classes):
    return (torch.randn(batch, 3, size, size).contiguous(memory_format=CHANNELS_LAST),
            torch.randint(classes, (batch,)))


NETWORKS = {
    "resnet50": (lambda size: resnet50(3, size, size, imagenet=True), 16, 224,
                 lambda batch, size: images(batch, size, 10), "SGD"),
    "resnet18": (lambda size: resnet18(3, size, size, imagenet=False), 64, 32,
                 lambda batch, size: images(batch, size, 10), "SGD"),
    "encoder": (lambda size: Encoder(), 8, 128,
                lambda batch, size: (torch.randint(30522, (batch, size)), torch.randint(2, (batch,))),
                "AdamW"),
}

# name: (Halftone's kernels, weights, autocast, loss scaling, halftone.fuse)
COMPILED = {
    "stock fp32 compiled": (False, None, None, False, False),
    "stock bf16 autocast compiled": (False, None, torch.bfloat16, False, False),
}
MODES = {
    "stock fp32": (False, None, None, False, False),
    "stock bf16 autocast": (False, None, torch.bfloat16, False, False),
    "stock bf16 weights": (False, torch.bfloat16, None, False, False),
    "halftone bf16 autocast": (True, None, torch.bfloat16, False, False),
    "halftone bf16-master": (True, "bf16-master", torch.bfloat16, False, False),
    "halftone bf16-master fused": (True, "bf16-master", torch.bfloat16, False, True),
    "halftone fp16 autocast": (True, None, torch.float16, True, False),
    "halftone fp16-master": (True, "fp16-master", torch.float16, True, False),
    "halftone fp16-master fused": (True, "fp16-master", torch.float16, True, True),
}
MEMORY_BASE = "stock fp32"  # the only stock mode that runs the same kernels with Halftone's in


class Arm:
    def __init__(self, halftone, network, mode, batch, size):
        make, default_batch, default_size, data, optimizer = NETWORKS[network]
        self.on, weights, self.autocast, scaling, fused = {**MODES, **COMPILED}[mode]
        batch, size = batch or default_batch, size or default_size
        torch.manual_seed(1)
        self.model = make(size).train()
        if network != "encoder":
            self.model = self.model.to(memory_format=CHANNELS_LAST)
        self.x, self.target = data(batch, size)
        options = dict(lr=0.01, momentum=0.9, weight_decay=5e-4) if optimizer == "SGD" else dict(lr=1e-4)
        source = torch.optim
        if isinstance(weights, str):
            halftone.cast(self.model, weights)
            source = halftone.optim
        elif weights is not None:
            self.model = self.model.to(weights)
            if self.x.is_floating_point():
                self.x = self.x.to(weights)
        if source is torch.optim:
            options["fused"] = True
        self.optimizer = getattr(source, optimizer)(self.model.parameters(), **options)
        self.scaler = torch.amp.GradScaler("cpu", enabled=scaling, init_scale=1024.0)
        self.halftone = halftone
        self.seconds = []
        if fused:
            with warnings.catch_warnings():  # a network without anything to fuse is measured as it is
                warnings.simplefilter("ignore")
                halftone.fuse(self.model)
        if mode in COMPILED:
            self.model = torch.compile(self.model)

    def peak_bytes(self):
        """Of all tensors, within a step."""
        on, self.on = self.on, True
        self.step(record=False)
        self.halftone.trim()  # the peak is then what is in use
        self.step(record=False)
        self.on = on
        return self.halftone.info()["allocator"]["peak_in_use_bytes"]

    def step(self, record):
        (self.halftone.enable if self.on else self.halftone.disable)()
        start = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=self.autocast or torch.bfloat16,
                            enabled=self.autocast is not None):
            output = self.model(self.x)
        loss = torch.nn.functional.cross_entropy(output.float(), self.target)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        loss = loss.item()
        if record:
            self.seconds.append(time.perf_counter() - start)
        return loss


def measure(halftone, network, options):
    arms, peaks = {}, {}
    for mode in options.mode or [*MODES, *(COMPILED if options.compile else ())]:
        halftone.enable()
        before = halftone.info()["allocator"]["in_use_bytes"]
        arms[mode] = arm = Arm(halftone, network, mode, options.batch, options.size)
        if arm.on or mode == MEMORY_BASE:
            peaks[mode] = arm.peak_bytes() - before
        arm.step(record=False)
    for _ in range(options.steps):
        for arm in arms.values():
            arm.step(record=False)  # its memory and caches warm again after the others
            arm.step(record=True)
    rows = {}
    for mode, arm in arms.items():
        quartiles = statistics.quantiles(arm.seconds, n=4)
        rows[mode] = {"ms": 1e3 * statistics.median(arm.seconds),
                      "quartiles_ms": [1e3 * quartiles[0], 1e3 * quartiles[2]]}
    stock = {mode: row["ms"] for mode, row in rows.items() if mode.startswith("stock")}
    best = min(stock, key=stock.get) if stock else None
    print(f"{network}: {torch.get_num_threads()} threads, rung {halftone.info()['rung']}, "
          f"{options.steps} steps of each in turn, medians [quartiles]")
    for mode, row in rows.items():
        low, high = row["quartiles_ms"]
        row["against_best_stock"] = stock[best] / row["ms"] if best else None
        row["peak_bytes"] = peaks.get(mode)
        memory = f"{peaks[mode] / 2**20:8.0f} MiB" if mode in peaks else " " * 12
        if mode in peaks and MEMORY_BASE in peaks:
            memory += f" ({peaks[mode] / peaks[MEMORY_BASE]:.2f})"
        ratio = f"{row['against_best_stock']:.2f} of {best}'s speed" if best else ""
        print(f"  {mode:26} {row['ms']:8.1f} ms [{low:.1f}, {high:.1f}] {memory}  {ratio}", flush=True)
    return rows


def preload_tcmalloc():
    """Starts this program anew with tcmalloc, for stock's fresh activations; Halftone's own allocator
    stands before it, and is out with disable(). What serves stock's memory, in words."""
    names = [ctypes.util.find_library(name) for name in ("tcmalloc", "tcmalloc_minimal")]
    found = next(filter(None, names), None)
    if not found:
        return "the C library's (tcmalloc is not installed)"
    if found not in os.environ.get("LD_PRELOAD", ""):
        os.environ["LD_PRELOAD"] = found
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--library", default=str(ROOT / "build/release/lib/libhalftone.so"))
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--mode", nargs="+", choices=[*MODES, *COMPILED])
    parser.add_argument("--compile", action="store_true",
                        help="stock under torch.compile, too (minutes, and a C++ compiler)")
    parser.add_argument("--tcmalloc", action="store_true", help="preload tcmalloc where there is one")
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.steps < 2:
        parser.error(f"--steps {options.steps}; expected 2 or more, of which there are quartiles")
    if options.tcmalloc:
        print(f"stock's allocator: {preload_tcmalloc()}")
    os.environ.setdefault("HALFTONE_LIBRARY", options.library)
    import halftone
    results = {network: measure(halftone, network, options) for network in options.network}
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
