"""image-folder as a person meets it: a folder of pictures, trained on, judged, asked."""

import json
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from commands import Commands, png  # noqa: E402


def shaded(shade, which):
    """Dark or light, with some pattern."""
    width, height = 33 + which, 40
    return png(width, height, bytes((shade + (7 * i + which) % 40) for i in range(width * height)))


class ImageFolder(Commands, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "shades"
        for split, count in (("train", 6), ("val", 2)):
            for name, shade in (("dark", 20), ("light", 200)):
                place = cls.data / split / name
                place.mkdir(parents=True)
                for which in range(count):
                    (place / f"{which}.png").write_bytes(shaded(shade, which))

    def train(self, *more):
        done = self.start("train", "image-folder", "--data", self.data, "--precision", "bf16",
                          "--steps", "6", "--batch", "4", "--json", *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_memory_and_threads_change_nothing_and_a_run_needs_no_data_to_answer(self):
        one, other = self.folder / "one", self.folder / "other"
        self.train("--cache-mb", "0", "--workers", "1", "--out", one)
        self.train("--cache-mb", "1", "--workers", "3", "--out", other)
        self.assertEqual((one / "weights.safetensors").read_bytes(),
                         (other / "weights.safetensors").read_bytes())
        done = self.start("eval", "--run", one, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["samples"], 4)
        done = self.start("predict", self.data / "val/light/0.png", "--run", one, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(json.loads(done.stdout)[0]["class"], ("dark", "light"))

    def test_folders_and_options_that_do_not_fit_are_errors_of_one_line(self):
        bad = self.folder / "bad"
        shutil.copytree(self.data, bad)
        (bad / "val/grey").mkdir()
        begin = ("train", "image-folder", "--steps", "1", "--batch", "2", "--precision", "bf16")
        self.expect_error(1, "val: class grey; expected one of dark, light", *begin, "--data", bad)
        (bad / "val/grey").rmdir()
        (bad / "val/dark").rename(self.folder / "elsewhere")
        self.expect_error(1, "val: no images of class dark", *begin, "--data", bad)
        shutil.rmtree(bad / "val")
        self.expect_error(1, "no directory val; expected ImageNet's layout", *begin, "--data", bad)
        self.expect_error(1, "expected --data with a directory of train/CLASS", *begin)
        self.expect_error(2, "--workers", *begin, "--data", self.data, "--workers", "0")
        self.expect_error(2, "--cache-mb", *begin, "--data", self.data, "--cache-mb", "-1")


if __name__ == "__main__":
    unittest.main()
