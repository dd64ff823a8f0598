#!/usr/bin/env python3
"""Checks design rule 1: a folder of halftone/ includes only folders below it; base/ and kernels/ never
see torch; data/, models/, metrics/ and report/ don't include each other."""

import pathlib
import re
import sys

# Lowest first; folders on one line are side by side and may not include each other.
LAYERS = [
    ["base"],
    ["kernels"],
    ["ops"],
    ["precision"],
    ["scaling"],
    ["optim"],
    ["nn"],
    ["numerics"],
    ["data", "models", "metrics", "report"],
    ["train"],
    ["python"],
    ["tasks"],
    ["cli"],
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
TORCH_FREE = {"base", "kernels"}
OWN = re.compile(r'^\s*#\s*include\s*[<"]halftone/([a-z_]+)/')
TORCH = re.compile(r'^\s*#\s*include\s*[<"](torch|ATen|c10|caffe2)/')


def violations(root):
    for path in sorted(root.glob("halftone/*/**/*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        folder = path.relative_to(root / "halftone").parts[0]
        if folder not in LEVEL:
            yield f"{path.relative_to(root)}: folder {folder}/ is in no layer"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"{path.relative_to(root)}:{number}"
            if folder in TORCH_FREE and TORCH.match(line):
                yield f"{where}: {folder}/ must not include torch: {line.strip()}"
            match = OWN.match(line)
            if not match or match[1] == folder:
                continue
            if match[1] not in LEVEL:
                yield f"{where}: includes {match[1]}/, which is in no layer"
            elif LEVEL[match[1]] >= LEVEL[folder]:
                yield f"{where}: {folder}/ includes {match[1]}/, which is not below it"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    root = root if root.is_dir() else root.parent.parent
    found = list(violations(root))
    print("\n".join(found) if found else f"layers: {len(LEVEL)} folders, each includes only those below it")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
