"""A Fashion-MNIST of rows that are easy to tell apart, and the commands that train on it."""

import random
import resource
import struct

from commands import Commands

IMAGES, TEST_IMAGES = 1280, 200


def picture(label, noise):
    """28x28 bytes; the bright rows tell the label."""
    rows = bytearray(noise.randrange(60) for _ in range(784))
    rows[56 * label:56 * label + 84] = bytes([230]) * 84
    return bytes(rows)


def write_fashion_mnist(folder):
    noise = random.Random(1)
    for name, count in (("train", IMAGES), ("t10k", TEST_IMAGES)):
        labels = bytes(i % 10 for i in range(count))
        pixels = b"".join(picture(label, noise) for label in labels)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


class FashionMnistCommands(Commands):
    """For a unittest.TestCase: cls.data are images of an own Fashion-MNIST."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "data"
        cls.data.mkdir()
        write_fashion_mnist(cls.data)

    def train_arguments(self, *more):
        return ("train", "fashion-mnist", "--data", self.data, "--model", "mlp", "--batch", "64",
                "--precision", "bf16", *more)

    def compare_arguments(self, out, *more):
        return ("compare", "fashion-mnist", "--data", self.data, "--model", "mlp", "--batch", "64",
                "--out", out, *more)

    def files_of(self, folder):
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    # A full disk: files beyond a limit of size can't be written. The checkpoint of the mlp has 5 MB.

    def start_on_a_full_disk(self, *arguments):
        size = 1 << 20
        return self.start(*arguments, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (size, size)))

    def expect_full_disk(self, done, name):
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        self.assertRegex(last, f"^halftone (train|compare): .*{name}.*: cannot write .File too large")
