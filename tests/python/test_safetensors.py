"""Weights that Halftone writes, read by Python's own safetensors, and written back by it."""

import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from exchange import ExchangeTest, expected_tensors, needs


@needs("torch", "safetensors")
class Safetensors(ExchangeTest):
    writes = "SafetensorsForPython"

    def test_python_reads_every_tensor_and_the_metadata(self):
        import torch
        from safetensors import safe_open

        with safe_open(self.folder / "weights.safetensors", "pt") as file:
            self.assertEqual(file.metadata(), {"writer": 'halftone "c++"'})
            expected = expected_tensors()
            self.assertEqual(set(file.keys()), set(expected))
            for name, tensor in expected.items():
                given = file.get_tensor(name)
                self.assertEqual(given.dtype, tensor.dtype, name)
                self.assertTrue(torch.equal(given, tensor), name)


if __name__ == "__main__":
    unittest.main()
