"""The layer check finds what it is for."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def check(root):
    return subprocess.run([sys.executable, ROOT / "scripts/check_layers.py", root], text=True,
                          capture_output=True)


class Layers(unittest.TestCase):
    def violation(self, path, line):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, path)
            file.parent.mkdir(parents=True)
            file.write_text(line + "\n")
            done = check(folder)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn(f"{path}:1", done.stdout)

    def test_this_tree_is_clean(self):
        done = check(ROOT)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_a_kernel_that_includes_torch_is_found(self):
        self.violation("halftone/kernels/dot/dot.cpp", "#include <ATen/ATen.h>")

    def test_an_include_upwards_is_found(self):
        self.violation("halftone/optim/sgd.cpp", '#include "halftone/train/trainer.h"')

    def test_an_include_sideways_is_found(self):
        self.violation("halftone/data/loader.cpp", '#include "halftone/models/network.h"')


if __name__ == "__main__":
    unittest.main()
