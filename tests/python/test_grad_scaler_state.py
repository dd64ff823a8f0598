"""Python's torch.amp.GradScaler loads what halftone::GradScaler has saved, and goes on the same."""

import os
import pathlib
import sys
import unittest

try:
    import torch
except ImportError:
    torch = None

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HALFTONE_BUILD", ROOT / "build/release"))


@unittest.skipIf(torch is None, "no torch for this Python")
class GradScalerState(unittest.TestCase):
    def setUp(self):
        # Written by test_scaling (ScalerState.IsWrittenForPython), which runs before.
        path = BUILD / "tests/grad_scaler_state.pt"
        if not path.exists():
            self.skipTest(f"{path} is not there: run test_scaling first")
        self.saved = torch.load(path, weights_only=False)
        sys.path.insert(0, str(ROOT / "tests/goldens"))
        import grad_scaler
        self.goldens = grad_scaler

    def test_has_pythons_keys_with_pythons_types(self):
        for key, value in torch.amp.GradScaler("cpu").state_dict().items():
            self.assertIs(type(self.saved[key]), type(value), key)

    def test_loaded_it_continues_as_uninterrupted(self):
        options, steps = self.goldens.pattern(self.goldens.STATE_PATTERN)
        half = len(steps) // 2
        whole = torch.amp.GradScaler("cpu", **options)
        self.goldens.run(whole, steps[:half])
        loaded = torch.amp.GradScaler("cpu")
        loaded.load_state_dict(self.saved)
        self.assertEqual(loaded.state_dict(), whole.state_dict())
        self.assertEqual(self.goldens.run(loaded, steps[half:]), self.goldens.run(whole, steps[half:]))

    def test_the_golden_is_what_this_torch_saves(self):
        options, steps = self.goldens.pattern(self.goldens.STATE_PATTERN)
        scaler = torch.amp.GradScaler("cpu", **options)
        self.goldens.run(scaler, steps[:len(steps) // 2])
        self.assertEqual(torch.load(self.goldens.HERE / "grad_scaler_state.pt"), scaler.state_dict())


if __name__ == "__main__":
    unittest.main()
