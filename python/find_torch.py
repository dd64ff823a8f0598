"""Prints the version of this Python's torch and the folder of its CMake package, without importing it."""

import importlib.util
import pathlib
import re
import sys

spec = importlib.util.find_spec("torch")
if spec is None or not spec.submodule_search_locations:
    sys.exit("no torch")
folder = pathlib.Path(spec.submodule_search_locations[0])
text = (folder / "version.py").read_text()
print(re.search(r"^__version__ = ['\"]([^'\"]+)", text, re.M)[1])
print(folder / "share/cmake/Torch")
