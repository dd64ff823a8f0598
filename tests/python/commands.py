"""The command line from outside: start it, expect one-line errors."""

import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("HALFTONE_BIN", str(ROOT / "build/release/bin/halftone"))


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
