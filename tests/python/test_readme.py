"""README's first listing is cut from examples/tour.cpp, which runs and learns."""

import os
import pathlib
import re
import subprocess
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release"))


def between(text, begin, end):
    return text.split(begin, 1)[1].split(end, 1)[0]


class Readme(unittest.TestCase):
    def test_first_listing_is_the_tour(self):
        tour = (ROOT / "examples/tour.cpp").read_text()
        listing = between((ROOT / "README.md").read_text(), "```cpp\n", "```")
        lines = between(tour, "// tour: begin\n", "// tour: end")
        self.assertEqual(listing.strip(), textwrap.dedent(lines).strip())

    def test_the_tour_runs_and_its_loss_falls(self):
        done = subprocess.run([BUILD / "bin/example_tour"], text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        losses = [float(value) for value in re.findall(r"loss ([\d.]+)", done.stdout)]
        self.assertEqual(len(losses), 4, done.stdout)
        self.assertLess(losses[-1], 0.7 * losses[0])


if __name__ == "__main__":
    unittest.main()
