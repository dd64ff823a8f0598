"""Halftone: half-precision CPU kernels inside PyTorch's dispatcher.

`import halftone` switches them on: every fp16 and bf16 operation on CPU tensors that Halftone has a
kernel for then runs it, in any script and any model. `info()` says what runs.
"""

import json

import torch

from . import _library

_LIBRARY = _library.load()

from . import optim  # noqa: E402  (needs the library)
from ._cast import cast  # noqa: E402
from ._fuse import fuse, fusion_report  # noqa: E402
from ._prepack import prepack, unpack  # noqa: E402

__all__ = ["cast", "disable", "enable", "fuse", "fusion_report", "info", "optim", "prepack", "trim",
           "unpack"]


def enable():
    """Puts Halftone's kernels and its caching allocator in; importing does. Idempotent.

    Raises RuntimeError where HALFTONE_DISABLE, HALFTONE_ALLOCATOR or HALFTONE_ISA names something
    unknown. Call it, and disable(), while no other thread runs operations.
    """
    torch.ops.halftone.enable()


def disable():
    """Takes the kernels and the allocator out: PyTorch is then as it was."""
    torch.ops.halftone.disable()


def trim():
    """Gives the memory that is kept for later tensors back to the system."""
    torch.ops.halftone.trim()


def info():
    """What runs, as a dictionary: versions, rung, operations, allocator, the library's path."""
    return {**json.loads(torch.ops.halftone.info()), "library": str(_LIBRARY)}


__version__ = info()["halftone"]
enable()
