"""halftone.optim against torch.optim: the same weights, the same states, GradScaler, autocast."""

import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import package  # noqa: E402

CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("AdamW", {"lr": 1e-2}),
    ("AdamW", {"lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"lr": 1e-2, "maximize": True, "eps": 1e-6}),
]
# fp32 arithmetic in another order: some 2^-24 per step and operation, of weights around 1.
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


class Optimizers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.halftone = package.import_halftone()
        import torch
        cls.torch = torch

    def setUp(self):
        self.torch.manual_seed(0)
        self.shapes = [(5, 7), (64, 33), (1,), (8, 3, 3, 3)]

    def parameters(self, dtype):
        torch = self.torch
        made = [torch.nn.Parameter(torch.randn(shape).to(dtype)) for shape in self.shapes]
        made[3].data = made[3].data.contiguous(memory_format=torch.channels_last)
        return made

    def twins(self, name, options, dtype=None):
        """Halftone's parameters and optimizer, torch's in fp32 with the same values."""
        torch = self.torch
        ours = self.parameters(dtype or torch.float32)
        theirs = [torch.nn.Parameter(p.detach().float().clone()) for p in ours]
        return (ours, getattr(self.halftone.optim, name)(ours, **options),
                theirs, getattr(torch.optim, name)(theirs, **options))

    def give_gradients(self, ours, theirs):
        for i, (a, b) in enumerate(zip(ours, theirs)):
            a.grad = self.torch.randn_like(a)
            b.grad = a.grad.to(b.dtype)
            if i == 2 and self.torch.rand(()) < 0.5:
                a.grad = b.grad = None  # passed over, in both

    def assertClose(self, ours, theirs, **bounds):
        for a, b in zip(ours, theirs):
            self.torch.testing.assert_close(a.detach().float(), b.detach().float(), **(bounds or CLOSE))

    def test_fp32_follows_torch_for_100_steps(self):
        for name, options in CASES:
            with self.subTest(name=name, **options):
                ours, optimizer, theirs, reference = self.twins(name, options)
                for _ in range(100):
                    self.give_gradients(ours, theirs)
                    optimizer.step()
                    reference.step()
                self.assertClose(ours, theirs)

    def test_half_weights_are_the_rounded_masters_which_follow_torch(self):
        for dtype in (self.torch.bfloat16, self.torch.float16):
            for name, options in CASES:
                with self.subTest(name=name, dtype=dtype, **options):
                    ours, optimizer, theirs, reference = self.twins(name, options, dtype)
                    for _ in range(100):
                        self.give_gradients(ours, theirs)
                        optimizer.step()
                        reference.step()
                    masters = [optimizer.state[p]["master"] for p in ours]
                    self.assertClose(masters, theirs)
                    for p, master in zip(ours, masters):
                        self.assertTrue(self.torch.equal(p, master.to(dtype)))

    def test_fp64_follows_torch(self):
        for name, options in CASES:
            ours, optimizer, theirs, reference = self.twins(name, options, self.torch.float64)
            for p in theirs:
                p.data = p.data.double()
            for a, b in zip(ours, theirs):
                b.data.copy_(a.data)
            for _ in range(20):
                self.give_gradients(ours, theirs)
                optimizer.step()
                reference.step()
            for a, b in zip(ours, theirs):
                self.torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)

    def test_states_go_both_ways(self):
        for name, options in CASES:
            with self.subTest(name=name, **options):
                ours, optimizer, theirs, reference = self.twins(name, options)
                for _ in range(5):
                    self.give_gradients(ours, theirs)
                    optimizer.step()
                    reference.step()
                mine, their_state = optimizer.state_dict(), reference.state_dict()
                self.assertEqual(mine["param_groups"], their_state["param_groups"])
                self.assertEqual({k: set(v) for k, v in mine["state"].items() if v},
                                 {k: set(v) for k, v in their_state["state"].items()
                                  if any(x is not None for x in v.values())})
                optimizer.load_state_dict(copy.deepcopy(their_state))
                reference.load_state_dict(copy.deepcopy(mine))
                for _ in range(5):
                    self.give_gradients(ours, theirs)
                    optimizer.step()
                    reference.step()
                self.assertClose(ours, theirs)

    def test_a_half_state_resumes_bit_for_bit_and_keeps_fp32(self):
        torch = self.torch
        for name, options in CASES:
            with self.subTest(name=name, **options):
                ours, optimizer, theirs, _ = self.twins(name, options, torch.bfloat16)
                for _ in range(5):
                    self.give_gradients(ours, theirs)
                    optimizer.step()
                again = [torch.nn.Parameter(p.detach().clone()) for p in ours]
                resumed = getattr(self.halftone.optim, name)(again, **options)
                resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
                for p in again:
                    for key, value in resumed.state[p].items():
                        self.assertEqual(value.dtype, torch.float32, key)
                for _ in range(5):
                    self.give_gradients(ours, theirs)
                    for a, b in zip(ours, again):
                        b.grad = a.grad
                    optimizer.step()
                    resumed.step()
                for a, b in zip(ours, again):
                    self.assertTrue(torch.equal(a, b))
                # torch.optim takes it, too, and rounds the moments to the weights' format.
                plain = getattr(torch.optim, name)(again, **options)
                plain.load_state_dict(optimizer.state_dict())
                plain.step()

    def test_a_copy_goes_on_by_itself(self):
        torch = self.torch
        for name, options in CASES:
            ours, optimizer, theirs, _ = self.twins(name, options, torch.bfloat16)
            self.give_gradients(ours, theirs)
            optimizer.step()
            copied = copy.deepcopy(optimizer)
            twins = copied.param_groups[0]["params"]
            for _ in range(2):
                self.give_gradients(ours, theirs)
                for a, b in zip(ours, twins):
                    b.grad = a.grad
                optimizer.step()
                copied.step()
            for a, b in zip(ours, twins):
                self.assertIsNot(a, b)
                self.assertTrue(torch.equal(a, b))

    def test_weights_written_by_others_are_seen(self):
        torch = self.torch
        ours, optimizer, theirs, _ = self.twins("AdamW", {"lr": 1e-3}, torch.bfloat16)
        self.give_gradients(ours, theirs)
        optimizer.step()
        before = optimizer.state[ours[0]]["master"].clone()
        with torch.no_grad():
            ours[0][1] = 3.0
        for p in ours:
            p.grad = torch.zeros_like(p)
        optimizer.param_groups[0]["lr"] = 0.0
        optimizer.step()
        master = optimizer.state[ours[0]]["master"]
        self.assertTrue(torch.equal(master[1], torch.full_like(master[1], 3.0)))
        self.assertTrue(torch.equal(master[0], before[0]))

    def test_closure_scheduler_and_groups(self):
        torch = self.torch
        ours, optimizer, theirs, reference = self.twins("SGD", {"lr": 0.1, "momentum": 0.9})
        for parameters, each in ((ours, optimizer), (theirs, reference)):
            extra = torch.nn.Parameter(torch.ones(4))
            parameters.append(extra)
            each.add_param_group({"params": [extra], "lr": 0.01})
        schedulers = [torch.optim.lr_scheduler.StepLR(each, 2, 0.5) for each in (optimizer, reference)]
        for _ in range(6):
            for parameters, each in ((ours, optimizer), (theirs, reference)):
                def closure():
                    each.zero_grad()
                    loss = sum(p.square().sum() for p in parameters)
                    loss.backward()
                    return loss
                self.assertTrue(each.step(closure).requires_grad)
            for scheduler in schedulers:
                scheduler.step()
        self.assertClose(ours, theirs)

    def test_options_that_make_no_sense_are_errors(self):
        p = self.parameters(self.torch.float32)
        with self.assertRaisesRegex(ValueError, "Invalid learning rate"):
            self.halftone.optim.AdamW(p, lr=-1.0)
        with self.assertRaisesRegex(ValueError, "differentiable=True"):
            self.halftone.optim.SGD(p, differentiable=True)
        self.halftone.optim.SGD(p, lr=0.1, foreach=True)
        self.halftone.optim.AdamW(p, lr=0.1, fused=True)


class Scaling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.halftone = package.import_halftone()
        import torch
        cls.torch = torch

    def run_training(self, optimizer_of, dtype, overflow_at=(), clip=False):
        """Steps with a GradScaler; returns the weights, the scale, the applied steps' count."""
        torch = self.torch
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(16, 8).to(dtype))
        optimizer = optimizer_of([weight])
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=4)
        kept = []
        for step in range(12):
            x = torch.randn(32, 8).to(dtype)
            loss = (x @ weight.t()).float().square().mean()
            optimizer.zero_grad()
            scaler.scale(loss * (float("inf") if step in overflow_at else 1.0)).backward()
            if clip:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_([weight], 0.5)
            before = weight.detach().clone()
            scaler.step(optimizer)
            scaler.update()
            kept.append(bool(torch.equal(before, weight)))
        return weight.detach(), scaler.get_scale(), kept, optimizer

    def test_follows_torch_with_a_scaler_in_fp32(self):
        torch = self.torch
        for clip in (False, True):
            for name, options in (("SGD", {"lr": 0.05, "momentum": 0.9}), ("AdamW", {"lr": 0.01})):
                ours, scale, kept, _ = self.run_training(
                    lambda p: getattr(self.halftone.optim, name)(p, **options), torch.float32, (3, 7), clip)
                theirs, their_scale, their_kept, _ = self.run_training(
                    lambda p: getattr(torch.optim, name)(p, **options), torch.float32, (3, 7), clip)
                torch.testing.assert_close(ours, theirs, **CLOSE)
                self.assertEqual(scale, their_scale)
                self.assertEqual(kept, their_kept)

    def test_a_skipped_step_changes_nothing_of_half_weights(self):
        torch = self.torch
        for dtype in (torch.float16, torch.bfloat16):
            _, scale, kept, optimizer = self.run_training(
                lambda p: self.halftone.optim.AdamW(p, lr=0.05), dtype, (0, 5))
            self.assertEqual([i for i, same in enumerate(kept) if same], [0, 5])
            self.assertEqual(scale, 1024.0)  # halved twice, doubled after 4 and 8 good steps
            state = next(iter(optimizer.state.values()))
            self.assertEqual(state["step"].item(), 10)

    def test_the_scale_does_not_change_the_result(self):
        torch = self.torch
        weight = torch.randn(50).bfloat16()
        results = []
        for scale in (1.0, 4096.0):
            p = torch.nn.Parameter(weight.clone())
            optimizer = self.halftone.optim.AdamW([p], lr=0.1)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale)
            for _ in range(3):
                optimizer.zero_grad()
                scaler.scale((p.float() * torch.arange(50)).sum()).backward()
                scaler.step(optimizer)
                scaler.update()
            results.append(p.detach())
        self.assertTrue(torch.equal(*results))


if __name__ == "__main__":
    unittest.main()
