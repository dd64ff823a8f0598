"""The command line from outside: start it, expect one-line errors; pictures to start it with."""

import os
import pathlib
import struct
import subprocess
import tempfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("HALFTONE_BIN", str(ROOT / "build/release/bin/halftone"))


def png(width, height, pixels):
    """A grey PNG."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + pixels[y * width:(y + 1) * width] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Commands:
    """For a unittest.TestCase: cls.folder is its own, home and cache of what it starts."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.scratch.name)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    @classmethod
    def start(cls, *arguments, **more):
        # Steps this small only lose by a second thread, a hundredfold where it has no core.
        environment = {"OMP_NUM_THREADS": "1", **os.environ, "HOME": str(cls.folder),
                       "XDG_CACHE_HOME": str(cls.folder)}
        return subprocess.run([BIN, *map(str, arguments)], text=True, capture_output=True,
                              timeout=300, stdin=subprocess.DEVNULL, env=environment, **more)

    def expect_error(self, code, text, *arguments):
        done = self.start(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        self.assertTrue(last.startswith("halftone"), done.stderr)
        self.assertIn(text, last)
        self.assertEqual(done.stdout, "")
        for trace in ("terminate called", "Exception raised from", "frame #"):
            self.assertNotIn(trace, done.stderr)
        if code == 2:
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
