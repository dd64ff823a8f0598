"""scripts/fetch_fashion_mnist.sh against a package of a few bytes and an apt-get that copies it."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
         "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
CONTROL = """Package: dataset-fashion-mnist
Version: 1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a stand-in
"""
APT = """#!/bin/sh
echo "$*" >> '{log}'
case "$*" in *Dir::State*) ;; *) [ -z "$NO_LISTS" ] || {{ echo 'E: Unable to locate' >&2; exit 100; }};; esac
[ -z "$OFFLINE" ] || {{ echo 'E: Could not resolve host' >&2; exit 100; }}
case "$*" in *download*) cp '{deb}' . ;; esac
"""


@unittest.skipUnless(shutil.which("dpkg-deb"), "needs dpkg-deb")
class FetchFashionMnist(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        self.target = self.root / "cache/halftone/fashion-mnist"
        self.log = self.root / "apt.log"
        (self.root / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/fetch_fashion_mnist.sh", self.root / "scripts")
        self.write_sums()
        self.make_package()

    def content(self, name):
        return f"content of {name}\n".encode()

    def write_sums(self):
        lines = [f"{hashlib.sha256(self.content(n)).hexdigest()}  {n}\n" for n in FILES]
        (self.root / "scripts/fashion_mnist.sha256").write_text("".join(lines))

    def make_package(self, wrong=None):
        tree = self.root / "tree"
        data = tree / "usr/share/datasets/fashion-mnist"
        data.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (data / name).write_bytes(b"other" if name == wrong else self.content(name))
        (tree / "DEBIAN").mkdir(exist_ok=True)
        (tree / "DEBIAN/control").write_text(CONTROL)
        deb = self.root / "package.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True,
                       stdout=subprocess.DEVNULL)
        bin_dir = self.root / "bin"
        bin_dir.mkdir(exist_ok=True)
        (bin_dir / "apt-get").write_text(APT.format(log=self.log, deb=deb))
        (bin_dir / "apt-get").chmod(0o755)

    def fetch(self, **environment):
        return subprocess.run(
            [self.root / "scripts/fetch_fashion_mnist.sh"], text=True, capture_output=True,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}",
                 "XDG_CACHE_HOME": str(self.root / "cache"),
                 "HALFTONE_FASHION_MNIST_INSTALLED": str(self.root / "installed"), **environment})

    def apt_calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def assert_complete(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in FILES:
            self.assertEqual((self.target / name).read_bytes(), self.content(name))
        self.assertFalse((self.root / "cache/halftone/fashion-mnist.part").exists())

    def test_first_run_downloads_and_second_only_says_where(self):
        self.assert_complete(self.fetch())
        self.assertEqual(len(self.apt_calls()), 1)
        again = self.fetch(OFFLINE="1")
        self.assert_complete(again)
        self.assertEqual(len(again.stdout.splitlines()), 1)
        self.assertEqual(len(self.apt_calls()), 1)

    def test_missing_package_lists_are_fetched_for_this_run_alone(self):
        self.assert_complete(self.fetch(NO_LISTS="1"))
        self.assertEqual(len(self.apt_calls()), 3)

    def test_continues_after_an_interruption(self):
        self.assert_complete(self.fetch())
        (self.target / "verified.sha256").unlink()
        (self.target / FILES[0]).unlink()
        part = self.root / "cache/halftone/fashion-mnist.part"
        part.mkdir()
        whole = (self.root / "package.deb").read_bytes()
        (part / "package.deb").write_bytes(whole[:100])
        self.assert_complete(self.fetch())
        self.assertEqual(len(self.apt_calls()), 2)
        (self.target / "verified.sha256").unlink()  # all four are there: nothing to download
        self.assert_complete(self.fetch(OFFLINE="1"))

    def test_damaged_file_in_the_cache_is_replaced(self):
        self.assert_complete(self.fetch())
        (self.target / "verified.sha256").unlink()
        (self.target / FILES[2]).write_bytes(b"torn")
        self.assert_complete(self.fetch())

    def test_wrong_package_is_an_error_of_one_line_and_leaves_nothing(self):
        self.make_package(wrong=FILES[1])
        done = self.fetch()
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{FILES[1]} has SHA-256 ", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertEqual(list(self.target.iterdir()), [])

    def test_no_network_is_an_error_of_one_line(self):
        done = self.fetch(OFFLINE="1")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn("E: Could not resolve host", done.stderr)

    def test_installed_package_is_used(self):
        installed = self.root / "installed"
        shutil.copytree(self.root / "tree/usr/share/datasets/fashion-mnist", installed)
        self.assert_complete(self.fetch(OFFLINE="1"))
        self.assertEqual(self.apt_calls(), [])


if __name__ == "__main__":
    unittest.main()
