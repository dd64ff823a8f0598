"""A user's project: configured, built and run against the installed tree."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release"))


def run(*command):
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def torch_prefix():
    cache = (BUILD / "CMakeCache.txt").read_text()
    return pathlib.Path(re.search(r"^Torch_DIR:PATH=(.*)$", cache, re.M)[1]).parents[2]


class Install(unittest.TestCase):
    def test_consumer_builds_and_runs_against_the_installed_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            prefix, work = pathlib.Path(folder, "prefix"), pathlib.Path(folder, "build")
            run("cmake", "--install", BUILD, "--prefix", prefix)
            run("cmake", "-S", ROOT / "tests/consumer", "-B", work, "-G", "Ninja",
                "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_PREFIX_PATH={prefix};{torch_prefix()}")
            run("cmake", "--build", work)
            self.assertRegex(run(work / "consumer"), r"^halftone \d+\.\d+\.\d+ on ")
            installed = {p.relative_to(prefix / "include").as_posix()
                         for p in (prefix / "include").rglob("*.h")}
            self.assertIn("halftone/halftone.h", installed)
            self.assertFalse([name for name in installed if "/kernels/dot/" in name])


if __name__ == "__main__":
    unittest.main()
