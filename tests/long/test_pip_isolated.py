"""pip install . as a person types it: the build isolated, its requirements from the package index."""

import pathlib
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))
import test_pip_install  # noqa: E402


class PipInstallIsolated(test_pip_install.PipInstall):
    isolated = True

    def setUp(self):
        try:
            urllib.request.urlopen("https://pypi.org/simple/scikit-build-core/", timeout=20).close()
        except (urllib.error.URLError, TimeoutError) as error:
            self.skipTest(f"no package index: {error}")
        super().setUp()


if __name__ == "__main__":
    unittest.main()
