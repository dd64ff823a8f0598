"""The Python package as it lies in the tree, with the library of the build that is tested."""

import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release")).resolve()
LIBRARY = BUILD / "lib/libhalftone.so"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "HALFTONE_LIBRARY": str(LIBRARY)}


def import_halftone():
    """The module; skips the calling class where there is no torch or no library."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise unittest.SkipTest("no torch for this Python") from None
    if not LIBRARY.exists():
        raise unittest.SkipTest(f"{LIBRARY} is not built")
    os.environ["HALFTONE_LIBRARY"] = str(LIBRARY)
    if str(ROOT / "python") not in sys.path:
        sys.path.insert(0, str(ROOT / "python"))
    import halftone
    return halftone


def run_python(code, **environment):
    """Runs code in a Python of its own."""
    return subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=300,
                          env={**ENVIRONMENT, **{k: str(v) for k, v in environment.items()}})
