"""halftone.prepack: the same bits, that packs are read, and when a pack ends."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import package  # noqa: E402

halftone = package.import_halftone()
import torch  # noqa: E402
from torch import nn  # noqa: E402

PACKS = halftone.info()["rung"] != "ref"  # which reads weights as they are


def model(dtype):
    torch.manual_seed(3)
    network = nn.Sequential(nn.Conv2d(5, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=2), nn.Flatten(),
                            nn.Linear(8 * 36, 10))
    return network.to(dtype).eval().requires_grad_(False)


def batch(dtype):
    torch.manual_seed(4)
    return torch.randn(2, 5, 10, 10).to(dtype)


class Prepack(unittest.TestCase):
    def test_same_bits(self):
        for dtype in (torch.float16, torch.bfloat16):
            x = batch(dtype)
            for context in (torch.no_grad, torch.inference_mode, torch.enable_grad):
                with self.subTest(dtype=dtype, context=context.__name__), context():
                    network = model(dtype)
                    expected = network(x)
                    halftone.prepack(network)
                    self.assertTrue(torch.equal(network(x), expected))

    def test_report(self):
        report = halftone.prepack(model(torch.float16))
        if PACKS:
            self.assertEqual(report, {"packed": {"0": "Conv2d", "4": "Linear"},
                                      "left_alone": {"2": "groups"}})
        else:
            self.assertEqual(report["packed"], {})
        self.assertEqual(halftone.prepack(model(torch.float32))["packed"], {})
        self.assertEqual(halftone.prepack(nn.ReLU()), {"packed": {}, "left_alone": {}})

    @unittest.skipUnless(PACKS, "the reference rung packs nothing")
    def test_a_pack_is_read_until_unpack(self):
        for dtype in (torch.float16, torch.bfloat16):
            network, x = model(dtype), batch(dtype)
            expected = network(x)
            halftone.prepack(network)
            network[4].weight.data.zero_()  # not counted by torch, so that the pack stays what it was
            self.assertTrue(torch.equal(network(x), expected))
            halftone.unpack(network)
            self.assertTrue(torch.equal(network(x), network[4].bias.expand(2, 10)))
            network = model(dtype)
            packed = halftone.prepack(network)["packed"]
            if "0" in packed:  # bf16 convolutions are PyTorch's own on some machines
                network[0].weight.data.zero_()
                self.assertTrue(torch.equal(network(x), expected))
                halftone.prepack(network)
                self.assertFalse(torch.equal(network(x), expected))

    def test_writes_in_place_and_other_memory(self):
        network, fresh, x = model(torch.float16), model(torch.float16), batch(torch.float16)
        halftone.prepack(network)
        fresh[4].weight.mul_(2)
        network.load_state_dict(fresh.state_dict())
        self.assertTrue(torch.equal(network(x), fresh(x)))
        network.bfloat16(), fresh.bfloat16()
        self.assertTrue(torch.equal(network(x.bfloat16()), fresh(x.bfloat16())))

    def test_a_weight_that_trains_is_an_error_and_nothing_is_packed(self):
        network, x = model(torch.float16), batch(torch.float16)
        network[4].weight.requires_grad_(True)
        with self.assertRaisesRegex(ValueError, "4.weight requires a gradient"):
            halftone.prepack(network)
        network[0].weight.data.zero_()
        fresh = model(torch.float16)
        fresh[0].weight.zero_()
        self.assertTrue(torch.equal(network(x), fresh(x)))
        with self.assertRaisesRegex(ValueError, "prepack: weight requires a gradient"):
            halftone.prepack(nn.Linear(4, 4).half())

    def test_a_weight_of_a_parametrization_is_left_alone(self):
        layer = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)).half().requires_grad_(False)
        report = halftone.prepack(layer)
        self.assertEqual(report, {"packed": {}, "left_alone": {"": "its weight is computed in each pass"}})


if __name__ == "__main__":
    unittest.main()
