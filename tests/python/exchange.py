"""What tests/train/exchange_test.cpp writes, for the tests of Python's readers."""

import importlib.util
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release"))
WRITER = BUILD / "tests/test_train"


def needs(*modules):
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return unittest.skipIf(missing, f"Python has no {', '.join(missing)}")


class ExchangeTest(unittest.TestCase):
    """A test case whose `folder` holds what the C++ test of that name wrote."""

    writes = ""

    @classmethod
    def setUpClass(cls):
        if not WRITER.exists():
            raise unittest.SkipTest(f"{WRITER} is not built")
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        cls.folder = pathlib.Path(cls.scratch.name)
        subprocess.run([WRITER, f"--gtest_filter=Exchange.{cls.writes}"], check=True,
                       capture_output=True, env={**os.environ, "HALFTONE_EXCHANGE": cls.folder})


def expected_tensors():
    import torch

    values = torch.arange(-3, 3).reshape(2, 3)
    return {
        "Double": values.double(),
        "Float": values.float(),
        "Half": values.half(),
        "BFloat16": values.bfloat16(),
        "Long": values,
        "nhwc": torch.arange(24.0).reshape(1, 2, 3, 4),
        "odd": torch.ones(3, dtype=torch.half),
        "scalar": torch.tensor(7),
    }
