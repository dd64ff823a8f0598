"""pip install . into an environment of its own, with the build's torch, from the existing build."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import venv

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release")).resolve()

SCRIPT = """
import torch, halftone
halftone_info = halftone.info()
assert halftone_info["enabled"], halftone_info
p = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
p.grad = torch.ones_like(p)
halftone.optim.SGD([p], lr=0.5).step()
print(p.tolist(), halftone_info["library"])
"""


def has(*modules):
    return all(importlib.util.find_spec(name) for name in modules)


def run(*command, **more):
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HALFTONE_LIBRARY")}
    done = subprocess.run([str(each) for each in command], text=True, capture_output=True, timeout=600,
                          cwd=more.pop("cwd", ROOT), env={**clean, "HALFTONE_BUILD": str(BUILD), **more})
    if done.returncode:
        raise AssertionError(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout


class PipInstall(unittest.TestCase):
    isolated = False

    def setUp(self):
        if not has("torch", "pip"):
            self.skipTest("no torch or no pip for this Python")
        if not self.isolated and not has("scikit_build_core"):
            self.skipTest("no scikit_build_core for this Python")
        if not (BUILD / "lib/libhalftone.so").exists():
            self.skipTest(f"{BUILD} is not built")
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.python = self.folder / "bin/python"
        venv.create(self.folder, symlinks=True, with_pip=False)
        # This Python's packages, torch among them, are also those of the new environment.
        site = run(self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        pathlib.Path(site, "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.site = pathlib.Path(site)

    def test_install_import_uninstall(self):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python]
        isolation = [] if self.isolated else ["--no-build-isolation"]
        run(*pip, "install", *isolation, ROOT)
        installed = {p.name for p in (self.site / "halftone").iterdir()} - {"__pycache__"}
        self.assertEqual(installed, {each.name for each in (ROOT / "python/halftone").glob("*.py")} | {"libhalftone.so"})
        out = run(self.python, "-c", SCRIPT, cwd=self.folder)
        self.assertEqual(out.strip(), f"[0.5, 0.5, 0.5] {self.site / 'halftone/libhalftone.so'}")
        paths = run("readelf", "-d", self.site / "halftone/libhalftone.so")
        self.assertIn("[$ORIGIN/../torch/lib]", paths)
        run(*pip, "uninstall", "-y", "halftone")
        self.assertFalse((self.site / "halftone/libhalftone.so").exists())


if __name__ == "__main__":
    unittest.main()
