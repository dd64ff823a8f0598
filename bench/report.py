#!/usr/bin/env python3
"""Runs every benchmark on this machine and writes docs/performance.md: what each prints, its command
and its target. Nothing in that file is typed by hand. Run it on a machine that does nothing else.

usage: .venv/bin/python bench/report.py [--build build/release] [--only TEXT ...]"""

import argparse
import datetime
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# (title, target, command)
BENCHMARKS = [
    ("The optimizer's passes against memory bandwidth",
     "AdamW's update pass for half weights and the read pass: at least 0.9 of the triad's bandwidth "
     "of the same footprint on the same threads",
     ["{build}/bin/bench_optimizer"]),
    ("A training step of ResNet-18 (CIFAR stem), batch 64, fp32, against Python PyTorch",
     "at most 1.03 times Python's time",
     ["{python}", "bench/resnet18_vs_python.py", "--build", "{build}"]),
    ("Whole training steps against stock PyTorch",
     "AMX: 2.5 times PyTorch's best mode (2 for the encoder); AVX512_FP16: 1.6 (1.5); on lower rungs no "
     "half step below 0.9 of fp32's speed",
     ["{python}", "bench/training_steps.py", "--steps", "3", "--tcmalloc", "--compile",
      "--library", "{build}/lib/libhalftone.so"]),
    ("Whole training steps on rung avx2, stock capped to AVX2, too",
     "no half step below 0.9 of fp32's speed",
     ["env", "HALFTONE_ISA=avx2", "ONEDNN_MAX_CPU_ISA=AVX2", "ATEN_CPU_CAPABILITY=avx2",
      "MKL_ENABLE_INSTRUCTIONS=AVX2", "{python}", "bench/training_steps.py", "--steps", "3",
      "--network", "resnet18", "encoder", "--library", "{build}/lib/libhalftone.so",
      "--mode", "stock fp32", "halftone bf16-master", "halftone fp16-master"]),  # stock's half: minutes
    ("Matrix products and convolutions against the unit's own loop and stock PyTorch",
     "AMX: products at least 0.55 of the loop, 0.65 prepacked, 1.1 times stock bf16, 2 times for NT and "
     "TN; AVX512_FP16: 0.75 of the loop, 1.6 times stock fp32; 3x3 convolutions 0.68 of the loop in the "
     "mean (0.75), backward-weights 0.6 (0.65); on lower rungs none slower than fp32 by more than 1.3",
     ["{build}/bin/bench_products"]),
    ("Normalisations against memory bandwidth and stock PyTorch",
     "batch normalisation at least 0.9 of the triad's bandwidth, layer normalisation 0.8",
     ["{build}/bin/bench_norms"]),
    ("ReLU, its gradient and the residual addition against memory bandwidth and stock PyTorch",
     "at least 0.8 of the triad's bandwidth of the same footprint, none slower than stock",
     ["{build}/bin/bench_elementwise"]),
    ("Pooling, upsampling, activations, softmax, loss and dropout against stock PyTorch",
     "none slower than stock",
     ["{build}/bin/bench_pointwise"]),
    ("Depthwise convolution against stock PyTorch",
     "none slower than stock's best format, backward-weights at least 1.5 times as fast as stock",
     ["{build}/bin/bench_depthwise"]),
    ("Rounding to formats of eight bits against a copy of the same footprint",
     "quantise-dequantise from memory at least 0.7 of the copy's bandwidth with AVX-512",
     ["{build}/bin/bench_quantize"]),
    ("Scaled-dot-product attention against stock PyTorch",
     "none slower than stock, in half or in fp32",
     ["{build}/bin/bench_attention"]),
    ("Autocast, GradScaler and the optimizer's bookkeeping, MLP of 10 parameters",
     "at most 150 µs per step",
     ["{build}/bin/bench_autocast_overhead"]),
    ("What explaining a bad step costs the good ones, and what a replay costs",
     "at most 0.5 % of a ResNet-18 step; a replay at most 20 steps",
     ["{build}/bin/bench_fault_replay", "32", "bf16", "8"]),
    ("What sampling ranges costs",
     "at most 1 % of the step at one sample in 100 steps",
     ["{build}/bin/bench_numerics_monitor", "32", "bf16", "8"]),
    ("Waiting for data",
     "less than 3 % of the step",
     ["{build}/bin/bench_data_loader"]),
]


def run(command):
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    text = done.stdout.strip() or done.stderr.strip()
    return text if done.returncode == 0 else f"{text}\nexit status {done.returncode}"


def machine(build):
    commit = run(["git", "describe", "--always", "--dirty"])
    doctor = run([f"{build}/bin/halftone", "doctor"])
    return (f"Written by `bench/report.py` on {datetime.date.today()}, commit {commit}, "
            f"{platform.system()} {platform.machine()}.\n\n```\n{doctor}\n```\n")


def sections(text):
    """{title: section} of a report, in its order."""
    return {part.split("\n", 1)[0]: "## " + part for part in text.split("\n## ")[1:]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--only", metavar="TEXT", nargs="+",
                        help="measure the sections whose titles hold one of these; the others stay")
    args = parser.parse_args()
    path = ROOT / "docs/performance.md"
    kept = sections(path.read_text()) if args.only and path.exists() else {}
    stamp = f"{datetime.date.today()}, commit {run(['git', 'describe', '--always', '--dirty'])}"
    parts = ["# Performance, as measured\n", machine(args.build)]
    for title, target, command in BENCHMARKS:
        if args.only and not any(text in title for text in args.only):
            if title in kept:
                parts.append(kept[title].rstrip("\n") + "\n")
            continue
        words = [word.format(build=args.build, python=sys.executable) for word in command]
        shown = " ".join(word.format(build=args.build, python="python") for word in command)
        print(f"{title} …", flush=True)
        parts.append(f"## {title}\n\nTarget: {target}. Measured {stamp}.\n\n    {shown}\n\n"
                     f"```\n{run(words)}\n```\n")
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(parts))
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
