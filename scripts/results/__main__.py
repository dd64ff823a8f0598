#!/usr/bin/env python3
"""Trains every task in every arm with three seeds and writes docs/results.md from what finished.

usage: python3 scripts/results [--build build/release] [--data DIR] [--pretrained DIR]
                               [--only ROW ...] [--arms ARM ...] [--seeds N ...]
                               [--quick] [--no-speed] [--write] [--list]

A finished run is a JSON file in docs/results/RUNG/ROW/ and is not trained again; delete the file to
train it anew. A run that was killed goes on from its checkpoint in runs/results/. A row that fails
or whose data are missing is named at the end, and the exit code is 1.

--data DIR         holds camvid, bccd, multi30k, squad, sst2, ml-100k, tinyshakespeare.txt, cifar10;
                   without it every task looks in the user's cache
--pretrained DIR   the Hugging Face folder that the encoders start from
--quick            the rows that take about a minute, seed 0, into runs/results-quick.md
--no-speed         leave out step time and memory, which want a machine that does nothing else
--write            train nothing, write docs/results.md from what there is
--list             name the rows"""

import argparse
import pathlib
import sys

import runs
import table
from rows import ROWS, SEEDS

ROOT = pathlib.Path(__file__).resolve().parents[2]


def parse(arguments):
    parser = argparse.ArgumentParser(prog="results", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--pretrained", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", metavar="ROW", choices=[row.name for row in ROWS])
    parser.add_argument("--arms", nargs="+", metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--kept", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    where = ROOT / ("runs/results-quick" if args.quick else "docs/results")
    args.kept = args.kept or where
    args.work = args.work or ROOT / ("runs/results-quick-work" if args.quick else "runs/results")
    args.page = args.page or where.with_suffix(".md")
    if args.seeds is None:
        args.seeds = [0] if args.quick else list(SEEDS)
    return args


def chosen_rows(args):
    rows = [row for row in ROWS if not args.only or row.name in args.only]
    return [row for row in rows if row.quick] if args.quick else rows


def steps(runner, args, rows):
    """All that is to be done, as (row, what): the first seed of every row before the second of
    any."""
    for row in rows:
        yield row, lambda row=row: runner.untrained(row)
    for seed in args.seeds:
        for row in rows:
            for arm in row.arms:
                if not args.arms or arm in args.arms:
                    yield row, lambda row=row, arm=arm, seed=seed: runner.train(row, arm, seed)
    if args.no_speed:
        return
    for row in rows:
        for arm in row.arms:
            if arm != "fp32" and (not args.arms or arm in args.arms):
                yield row, lambda row=row, arm=arm: runner.speed(row, arm)


def train(args, rows):
    """What went wrong, a line each."""
    runner = runs.Runner(args.build / "bin/halftone", args.kept, args.work, args.data,
                         args.pretrained, log=lambda text: print(text, flush=True))
    wrong = [f"{row.name}: {why}" for row in rows if (why := runner.lacking(row))]
    for row, what in steps(runner, args, [row for row in rows if not runner.lacking(row)]):
        try:
            what()
        except runs.Failed as error:
            wrong.append(f"{row.name}: {error}")
    return wrong


def main(arguments=None):
    args = parse(arguments)
    if args.list:
        print("\n".join(f"{row.name:20} {', '.join(row.arms)}" for row in ROWS))
        return 0
    rows = chosen_rows(args)
    wrong = [] if args.write else train(args, rows)
    args.page.parent.mkdir(parents=True, exist_ok=True)
    args.page.write_text(table.page(rows if args.quick else ROWS, args.kept))
    print(f"wrote {args.page}")
    for line in wrong:
        print("not done: " + line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
