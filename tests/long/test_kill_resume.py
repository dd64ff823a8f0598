"""kill -9 at 20 random moments of one run, resumed each time: the final weights are bit for bit those
of the uninterrupted run. Minutes; part of make test-all."""

import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/python"))
from commands import BIN  # noqa: E402
from fashion_mnist import write_fashion_mnist  # noqa: E402

KILLS = 20
STEPS = 4000


class KillResume(unittest.TestCase):
    def train(self, out, *more, steps=STEPS):
        return subprocess.Popen(
            [BIN, "train", "fashion-mnist", "--data", self.data, "--model", "mlp", "--precision",
             self.precision, "--steps", str(steps), "--batch", "64", "--checkpoint-every", "25",
             "--out", out, *more],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def finish(self, process):
        """Returns the seconds that it took from here."""
        start = time.monotonic()
        _, errors = process.communicate()
        self.assertEqual(process.returncode, 0, errors.decode())
        return time.monotonic() - start

    def check(self, precision):
        self.precision = precision
        moments = random.Random(precision)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            self.data = folder / "data"
            self.data.mkdir()
            write_fashion_mnist(self.data)
            setting_up = self.finish(self.train(folder / "short", steps=1))
            training = self.finish(self.train(folder / "whole")) - setting_up
            killed = 0
            while killed < KILLS:
                started = (folder / "killed/config.toml").exists()
                has_checkpoint = any((folder / "killed/checkpoints").glob("*.pt")) if started else False
                more = ["--resume"] if has_checkpoint else ["--overwrite"] if started else []
                process = self.train(folder / "killed", *more)
                # A kill comes after a fortieth of the run on average, so that all come in it.
                try:
                    process.wait(moments.uniform(0.5 * setting_up,
                                                 setting_up + training / KILLS))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed += 1
            self.finish(process if killed < KILLS else self.train(folder / "killed", "--resume"))
            print(f"\n  {precision}: killed {killed} times", end=" ", flush=True)
            self.assertEqual(killed, KILLS, "the run came to its end before")
            self.assertEqual((folder / "killed/weights.safetensors").read_bytes(),
                             (folder / "whole/weights.safetensors").read_bytes())

    def test_fp32(self):
        self.check("fp32")

    def test_bf16_master(self):
        self.check("bf16-master")


if __name__ == "__main__":
    unittest.main()
