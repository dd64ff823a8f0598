"""Checkpoints that Halftone writes, read by torch.load with weights_only."""

import sys
import unittest

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from exchange import ExchangeTest, expected_tensors, needs


@needs("torch")
class Checkpoint(ExchangeTest):
    writes = "CheckpointForPython"

    def test_torch_load_reads_it_with_weights_only(self):
        import torch

        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        expected = expected_tensors()
        self.assertEqual(list(state["model"]), list(expected))
        for name, tensor in expected.items():
            self.assertEqual(state["model"][name].dtype, tensor.dtype, name)
            self.assertTrue(torch.equal(state["model"][name], tensor), name)
        del state["model"]
        self.assertEqual(state, {"step": 5, "scale": 65536.0, "name": "fp16", "flag": False,
                                 "betas": [0.9, 0.999]})


if __name__ == "__main__":
    unittest.main()
