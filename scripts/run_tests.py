#!/usr/bin/env python3
"""Runs the test executables of a build folder and the Python tests; ends in one line that counts.

usage: run_tests.py BUILD [--unit] [--filter TEXT]
  --unit         the C++ unit tests alone (what the sanitizer presets run)
  --filter TEXT  only executables and Python files whose name contains TEXT
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT_S = 900


def run_gtest(binary):
    """(passed, failed, skipped) of one executable; one that dies counts as failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        done = run([str(binary), f"--gtest_output=json:{report}", "--gtest_brief=1"])
        counts = [0, 0, 0]
        if report.exists():
            for suite in json.loads(report.read_text())["testsuites"]:
                for case in suite["testsuite"]:
                    skipped = case.get("result") == "SKIPPED" or "skipped" in case
                    counts[1 if case.get("failures") else 2 if skipped else 0] += 1
        if done.returncode != 0 and counts[1] == 0:
            counts[1] += 1
        show_failure(done, counts[1])
        return counts


def run_python(path, build):
    done = run([python(), "-m", "unittest", "-v", str(path.relative_to(ROOT))],
               env={"HALFTONE_BUILD": str(build), "HALFTONE_BIN": str(build / "bin/halftone")})
    counts = [0, 0, 0]
    for line in (done.stdout + done.stderr).splitlines():
        result = line.rsplit(" ... ", 1)[-1] if " ... " in line else line
        if result == "ok":
            counts[0] += 1
        elif result in ("FAIL", "ERROR"):
            counts[1] += 1
        elif result.startswith("skipped "):
            counts[2] += 1
    if done.returncode != 0 and counts[1] == 0:
        counts[1] += 1
    show_failure(done, counts[1])
    return counts


def python():
    """The Python whose torch the build uses, if it can be told; else the one that runs this."""
    venv = ROOT / ".venv/bin/python"
    return str(venv) if venv.exists() else sys.executable


def run(command, env=None):
    try:
        return subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, text=True,
                              capture_output=True, timeout=TIMEOUT_S, errors="replace",
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        out = (error.stdout or b"").decode(errors="replace")
        return subprocess.CompletedProcess(command, 124, out, f"no end after {TIMEOUT_S} s")


def show_failure(done, failed):
    if not failed:
        return
    text = (done.stdout + done.stderr).strip().splitlines()
    print("\n".join("    " + line for line in text[-60:]))
    print(f"    exit status {done.returncode}: {' '.join(map(str, done.args))}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--unit", action="store_true")
    parser.add_argument("--filter", default="")
    args = parser.parse_args()
    build = args.build.resolve()
    jobs = [(path.name, lambda p=path: run_gtest(p)) for path in sorted(build.glob("tests/test_*"))
            if os.access(path, os.X_OK) and path.is_file()]
    if not args.unit:
        jobs += [(f"python/{path.stem}", lambda p=path: run_python(p, build))
                 for path in sorted(ROOT.glob("tests/python/test_*.py"))]
    jobs = [job for job in jobs if args.filter in job[0]]
    total = [0, 0, 0]
    for name, job in jobs:
        start = time.monotonic()
        counts = job()
        total = [a + b for a, b in zip(total, counts)]
        mark = "FAILED" if counts[1] else "ok"
        print(f"{mark:6}  {name:32} {counts[0]:4} passed {counts[1]:3} failed {counts[2]:3} skipped"
              f" {time.monotonic() - start:7.1f} s", flush=True)
    print(f"{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main())
