"""import halftone under PyTorch's other ways to run: torch.compile, .out variants, deterministic
algorithms, second derivatives."""

import os
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import package  # noqa: E402

halftone = package.import_halftone()
import torch  # noqa: E402
from torch import nn  # noqa: E402

HALVES = (torch.float16, torch.bfloat16)
# Two correct computations in half, each rounding operands, intermediate and final results: relative to
# the norm, 3 u each (u = 2^-11, 2^-8), through the four layers of the network here, as squares, sqrt(8).
TOLERANCE = {torch.float16: 5e-3, torch.bfloat16: 4e-2}


def close(test, found, expected, tolerance):
    found, expected = found.detach().float(), expected.detach().float()
    test.assertEqual(found.shape, expected.shape)
    test.assertLess(((found - expected).norm() / expected.norm()).item(), tolerance)


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.Conv2d(8, 8, 3, stride=2), nn.GELU(), nn.Flatten(), nn.Linear(8 * 9, 6))


def image():
    torch.manual_seed(2)
    return torch.randn(16, 3, 8, 8)


def stock(run):
    halftone.disable()
    try:
        return run()
    finally:
        halftone.enable()


class Compile(unittest.TestCase):
    def tearDown(self):
        torch._dynamo.reset()

    def steps(self, model, call, dtype):
        """Loss of two training steps and the parameters after them."""
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(2):
            with torch.autocast("cpu", dtype):
                loss = call(image()).float().square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return [torch.stack(losses), *model.parameters(), model[1].running_var]

    @unittest.skipUnless(shutil.which(os.environ.get("CXX", "g++")), "torch.compile needs a C++ compiler")
    def test_a_training_step_is_as_in_eager_mode(self):
        dtype = torch.bfloat16
        eager, compiled = network(), network()
        expected = self.steps(eager, eager, dtype)
        for a, b in zip(self.steps(compiled, torch.compile(compiled), dtype), expected):
            close(self, a, b, TOLERANCE[dtype])

    def test_a_fused_network_is_traced_without_a_break(self):
        dtype = torch.float16
        eager, fused = network(), halftone.fuse(network())
        expected = self.steps(eager, eager, dtype)
        call = torch.compile(fused, backend="aot_eager", fullgraph=True)
        for a, b in zip(self.steps(fused, call, dtype), expected):
            close(self, a, b, TOLERANCE[dtype])

    def test_the_fused_operation_itself_is_traced(self):
        def run(function):
            torch.manual_seed(3)
            x, residual = (torch.randn(2, 4, 5, 5).bfloat16().requires_grad_() for _ in range(2))
            weight = torch.rand(4).requires_grad_()
            mean, var = torch.zeros(4), torch.ones(4)
            function(x, residual, weight, mean, var).float().square().sum().backward()
            return x.grad, residual.grad, weight.grad, mean, var

        def fused(x, residual, weight, mean, var):
            return torch.ops.halftone.batch_norm_relu(x, residual, weight, None, mean, var, True, 0.1, 1e-5)
        compiled = torch.compile(fused, backend="aot_eager", fullgraph=True)
        for a, b in zip(run(compiled), run(fused)):
            self.assertTrue(torch.equal(a, b))


class OutVariants(unittest.TestCase):
    """What compiled graphs call."""

    CALLS = {
        "mm": lambda a, out: torch.mm(a[0], a[1], out=out),
        "addmm": lambda a, out: torch.addmm(a[2], a[0], a[1], beta=0.5, alpha=2, out=out),
        "bmm": lambda a, out: torch.bmm(a[0].expand(3, 9, 9), a[1].expand(3, 9, 9), out=out),
        "baddbmm": lambda a, out: torch.baddbmm(a[2].expand(3, 9, 9), a[0].expand(3, 9, 9),
                                                a[1].expand(3, 9, 9), out=out),
        "convolution": lambda a, out: torch.ops.aten.convolution.out(
            a[0].view(1, 9, 3, 3), a[1].view(9, 9, 1, 1), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
            out=out),
    }
    SIZES = {"mm": (9, 9), "addmm": (9, 9), "bmm": (3, 9, 9), "baddbmm": (3, 9, 9),
             "convolution": (1, 9, 3, 3)}

    def test_give_what_fp32_gives(self):
        for dtype in HALVES:
            torch.manual_seed(4)
            operands = [torch.randn(9, 9).to(dtype) for _ in range(3)]
            for name, call in self.CALLS.items():
                out = torch.full(self.SIZES[name], float("nan"), dtype=dtype)
                exact = torch.empty(self.SIZES[name])
                call(operands, out)
                call([each.float() for each in operands], exact)
                with self.subTest(name=name, dtype=dtype):
                    close(self, out, exact, TOLERANCE[dtype])

    def test_run_the_kernel(self):
        """Read from the dispatch log; fp16, as bf16 convolutions may be oneDNN's."""
        done = package.run_python(
            "import sys\n"
            f"sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
            "import test_package_modes as modes, torch\n"
            "a = [torch.randn(9, 9).half() for _ in range(3)]\n"
            "for name, call in modes.OutVariants.CALLS.items():\n"
            "    out = torch.empty(modes.OutVariants.SIZES[name]).half()\n"
            "    print('#', name, file=sys.stderr, flush=True)\n"
            "    call(a, out)\n", HALFTONE_LOG="dispatch", HALFTONE_BUILD=package.BUILD)
        self.assertEqual(done.returncode, 0, done.stderr)
        parts = dict(part.split("\n", 1) for part in done.stderr.split("# ")[1:])
        self.assertEqual(set(parts), set(self.CALLS))
        for name, log in parts.items():
            self.assertRegex(log, r"product: \w+ runs", name)


class Deterministic(unittest.TestCase):
    def test_runs_and_repeats_its_bits(self):
        self.addCleanup(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled())
        torch.use_deterministic_algorithms(True)
        for dtype in HALVES:
            def gradients():
                model = halftone.fuse(network())
                with torch.autocast("cpu", dtype):
                    loss = model(image()).float().square().mean()
                return torch.autograd.grad(loss, list(model.parameters()))
            for a, b in zip(gradients(), gradients()):
                self.assertTrue(torch.equal(a, b))


class SecondDerivatives(unittest.TestCase):
    def penalty(self, model, dtype):
        """Gradients of a loss with a gradient penalty."""
        x = image().requires_grad_()
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            output = model(x).float()
        gradient, = torch.autograd.grad(output.square().sum(), x, create_graph=True)
        loss = output.square().mean() + gradient.square().sum().sqrt()
        return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)

    def test_a_gradient_penalty_is_as_near_to_fp32_as_stocks(self):
        exact = stock(lambda: self.penalty(network(), None))
        for dtype in HALVES:
            expected = stock(lambda: self.penalty(network(), dtype))
            for model in (network(), halftone.fuse(network())):
                found = self.penalty(model, dtype)
                for a, b, c in zip(found, expected, exact):
                    if c is None or c.norm() < 1e-4:  # a bias before a normalisation
                        continue
                    own, other = ((each.float() - c).norm() / c.norm() for each in (a, b))
                    self.assertLess(own.item(), 2 * other.item() + TOLERANCE[dtype])

    def test_gradgradcheck_in_fp64(self):
        model = halftone.fuse(network()).double().eval()  # ReLU's kinks are far from these inputs
        x = image()[:1, :, :4, :4].double().requires_grad_()
        features = model[:4]
        self.assertTrue(torch.autograd.gradgradcheck(lambda x: features(x).square(), x))


class CrossEntropy(unittest.TestCase):
    def case(self):
        torch.manual_seed(3)
        target = torch.randint(40, (9,))
        target[2] = -100
        return torch.randn(9, 40).mul_(3), target

    def run_under_autocast(self, logits, target, dtype):
        """Loss, gradient and the formats of what is kept for backward in the logits' size."""
        x = logits.to(dtype).requires_grad_()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
                lambda t: (t.numel() == x.numel() and kept.append(t.dtype), t)[1], lambda t: t):
            with torch.autocast("cpu", dtype):
                loss = nn.functional.cross_entropy(x, target)
        loss.backward()
        return loss, x.grad, kept

    def test_reads_half_logits_under_autocast_and_keeps_no_fp32_copy(self):
        for dtype in HALVES:
            expected, expected_gradient, stock_kept = stock(lambda: self.run_under_autocast(*self.case(), dtype))
            loss, gradient, kept = self.run_under_autocast(*self.case(), dtype)
            self.assertEqual(loss.dtype, torch.float32)
            self.assertLess((loss - expected).abs().item(), 1e-5 * expected.item())
            close(self, gradient, expected_gradient, TOLERANCE[dtype] / 10)
            self.assertEqual(kept, [dtype])
            self.assertEqual(set(stock_kept), {torch.float32})

    def test_transforms_and_subclasses_are_pytorchs(self):
        logits, target = self.case()
        logits = logits.bfloat16()
        loss = nn.functional.cross_entropy

        def transformed():
            return [torch.func.grad(loss)(logits, target), torch.func.vmap(loss)(logits, target),
                    torch.func.jvp(lambda x: loss(x, target), (logits,), (torch.ones_like(logits),))[1]]

        for found, expected in zip(transformed(), stock(transformed)):  # NaN: the mean over an ignored row
            self.assertTrue(torch.allclose(found.float(), expected.float(), 2e-2, 1e-3, equal_nan=True))

    @unittest.skipUnless(shutil.which(os.environ.get("CXX", "g++")), "torch.compile needs a C++ compiler")
    def test_compiles(self):
        logits, target = self.case()

        @torch.compile(fullgraph=True)
        def compiled(x):
            with torch.autocast("cpu", torch.bfloat16):
                return nn.functional.cross_entropy(x, target)

        x = logits.bfloat16().requires_grad_()
        loss = compiled(x)
        loss.backward()
        expected, gradient, _ = self.run_under_autocast(logits, target, torch.bfloat16)
        self.assertLess((loss - expected).abs().item(), 1e-5 * expected.item())
        close(self, x.grad, gradient, TOLERANCE[torch.bfloat16] / 10)


if __name__ == "__main__":
    unittest.main()
