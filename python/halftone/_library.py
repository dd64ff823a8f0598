"""Finds libhalftone.so, checks that it was built for this torch, and loads it."""

import mmap
import os
import pathlib
import re

import torch

_MARK = re.compile(rb"halftone-built-for-torch=(\d+\.\d+[^\0]*)\0")


def path():
    """The library: HALFTONE_LIBRARY, or the one in this package."""
    return pathlib.Path(os.environ.get("HALFTONE_LIBRARY")
                        or pathlib.Path(__file__).with_name("libhalftone.so"))


def built_for(library):
    """The torch version that a library file was built for, read without loading it; or None."""
    with open(library, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _MARK.search(content)
        return found[1].decode() if found else None


def _series(version):
    """'2.13.0+cpu' -> '2.13'. Libraries of one series have the same symbols."""
    return re.match(r"\d+\.\d+", version)[0]


def load():
    """Loads it and returns its path; ImportError says what is wrong."""
    library = path()
    if not library.is_file():
        raise ImportError(f"halftone: {library} is not there; `pip install .` in Halftone's tree builds "
                          "it, HALFTONE_LIBRARY names an existing one")
    version = built_for(library)
    if version is None:
        raise ImportError(f"halftone: {library} is not a library of Halftone")
    advice = "install Halftone again in this environment: pip install --force-reinstall --no-deps ."
    if _series(version) != _series(torch.__version__):
        raise ImportError(f"halftone: {library} was built for torch {version}; this is torch "
                          f"{torch.__version__}; {advice}")
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        raise ImportError(f"halftone: {library} (built for torch {version}) does not load with torch "
                          f"{torch.__version__}: {error}; {advice}") from error
    return library
