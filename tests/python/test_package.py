"""import halftone: kernels on and off, info, cast, and what is said where torch is another."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import package  # noqa: E402


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.halftone = package.import_halftone()
        import torch
        cls.torch = torch

    def setUp(self):
        self.addCleanup(self.halftone.enable)
        self.torch.manual_seed(0)

    def test_import_enables_and_disable_takes_everything_out(self):
        done = package.run_python("import halftone, json; a = halftone.info(); halftone.disable();"
                                  "print(json.dumps([a, halftone.info()]))")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        import json
        on, off = json.loads(done.stdout)
        self.assertTrue(on["enabled"])
        self.assertTrue(on["allocator"]["caching"])
        self.assertTrue(all(on["operations"].values()))
        self.assertFalse(off["enabled"])
        self.assertFalse(off["allocator"]["caching"])
        self.assertFalse(any(off["operations"].values()))

    def test_info_says_what_runs(self):
        info = self.halftone.info()
        self.assertEqual(info["libtorch"].split(".")[:2], self.torch.__version__.split(".")[:2])
        self.assertEqual(info["library"], str(package.LIBRARY))
        self.assertEqual(info["halftone"], self.halftone.__version__)
        self.assertIn(info["rung"], info["rungs"])
        self.assertEqual(info["threads"], self.torch.get_num_threads())

    def test_the_allocator_keeps_and_trims(self):
        self.torch.empty(1 << 20)
        self.assertGreaterEqual(self.halftone.info()["allocator"]["cached_bytes"], 4 << 20)
        self.halftone.trim()
        self.assertEqual(self.halftone.info()["allocator"]["cached_bytes"], 0)

    def test_variables_with_unknown_values_fail_with_the_choice(self):
        for variable in ("HALFTONE_DISABLE", "HALFTONE_ALLOCATOR", "HALFTONE_ISA"):
            done = package.run_python("import halftone", **{variable: "fancy"})
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(f'{variable}: "fancy"; expected', done.stderr.splitlines()[-1])

    def test_the_systems_allocator_on_request(self):
        done = package.run_python("import halftone; print(halftone.info()['allocator']['caching'])",
                                  HALFTONE_ALLOCATOR="system")
        self.assertEqual(done.stdout, "False\n", done.stderr)

    def test_fp32_gives_the_same_bits_with_and_without(self):
        net = self.torch.nn.Sequential(self.torch.nn.Conv2d(3, 8, 3), self.torch.nn.BatchNorm2d(8),
                                       self.torch.nn.ReLU(), self.torch.nn.Flatten(),
                                       self.torch.nn.Linear(8 * 36, 5))
        x = self.torch.randn(4, 3, 8, 8)

        def gradients():
            net.zero_grad()
            net(x).square().mean().backward()
            return [p.grad.clone() for p in net.parameters()]
        with_halftone = gradients()
        self.halftone.disable()
        for a, b in zip(with_halftone, gradients()):
            self.assertTrue(self.torch.equal(a, b))


class Cast(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.halftone = package.import_halftone()
        import torch
        cls.torch = torch

    def net(self):
        nn = self.torch.nn
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                             nn.Linear(8 * 36, 16), nn.LayerNorm(16), nn.Linear(16, 5))

    def test_weights_are_half_and_norms_fp32(self):
        torch = self.torch
        for policy, half in (("bf16-master", torch.bfloat16), ("fp16-master", torch.float16),
                             (torch.bfloat16, torch.bfloat16), ("O2", torch.float16)):
            net = self.net()
            parameters = list(net.parameters())
            self.assertIs(self.halftone.cast(net, policy), net)
            for before, after in zip(parameters, net.parameters()):
                self.assertIs(before, after)
            for name, p in net.named_parameters():
                self.assertEqual(p.dtype, torch.float32 if name[0] in "15" else half, name)
            self.assertEqual(net[1].running_mean.dtype, torch.float32)
            self.halftone.cast(net, "fp32")
            self.assertTrue(all(p.dtype == torch.float32 for p in net.parameters()))

    def test_rounds_once_and_keeps_ties_and_layout(self):
        torch = self.torch
        net = self.net().to(memory_format=torch.channels_last)
        expected = net[0].weight.detach().bfloat16()
        net[6].weight = torch.nn.Parameter(torch.randn(5, 16))
        net[6].bias = net[4].bias  # tied
        self.halftone.cast(net)
        self.assertTrue(torch.equal(net[0].weight, expected))
        self.assertTrue(net[0].weight.is_contiguous(memory_format=torch.channels_last))
        self.assertIs(net[6].bias, net[4].bias)

    def test_trains_with_half_inputs_and_under_autocast(self):
        torch = self.torch
        for autocast in (False, True):
            torch.manual_seed(1)
            net = self.halftone.cast(self.net())
            optimizer = self.halftone.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
            x, target = torch.randn(32, 3, 8, 8), torch.randint(5, (32,))
            losses = []
            for _ in range(30):
                with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                    output = net(x if autocast else x.bfloat16())
                    loss = torch.nn.functional.cross_entropy(output.float(), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            self.assertLess(losses[-1], losses[0] / 4)

    def test_a_policy_files_exceptions_apply(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "policy.toml")
            path.write_text('preset = "bf16-master"\n[[modules]]\nmatch = "6"\nformat = "fp32"\n')
            net = self.halftone.cast(self.net(), path)
        self.assertEqual(net[4].weight.dtype, self.torch.bfloat16)
        self.assertEqual(net[6].weight.dtype, self.torch.float32)

    def test_policies_that_it_cannot_keep_are_errors(self):
        for policy, text in (("bf16", 'expected "bf16-master"'), ("bf16-kahan", "half-kahan"),
                             ("fp8-sim", "emulates number formats"),
                             ("bf17-master", '"bf16-master"'), ("nowhere.toml", "nowhere.toml")):
            with self.assertRaises(ValueError) as caught:
                self.halftone.cast(self.net(), policy)
            self.assertIn(text, str(caught.exception))


class AnotherTorch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        package.import_halftone()

    def failing(self, code, **environment):
        done = package.run_python(code, **environment)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr.splitlines()[-1]

    def test_a_library_for_another_torch_is_named_before_it_is_loaded(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "libhalftone.so")
            content = package.LIBRARY.read_bytes()
            import torch
            mark = b"halftone-built-for-torch=" + torch.__version__.split("+")[0].encode()
            self.assertIn(mark, content)
            other = b"halftone-built-for-torch=2.9.1".ljust(len(mark), b"\0")
            copy.write_bytes(content.replace(mark, other))
            last = self.failing("import halftone", HALFTONE_LIBRARY=copy)
            self.assertRegex(last, r"^ImportError: halftone: .* was built for torch 2\.9\.1; this is torch "
                                   r"2\.\d+\.\d+.*; install Halftone again")

    def test_no_library_and_another_file_are_named(self):
        last = self.failing("import halftone", HALFTONE_LIBRARY="/nowhere/libhalftone.so")
        self.assertRegex(last, r"^ImportError: halftone: /nowhere/libhalftone.so is not there")
        last = self.failing("import halftone", HALFTONE_LIBRARY=__file__)
        self.assertRegex(last, r"^ImportError: halftone: .*is not a library of Halftone")


if __name__ == "__main__":
    unittest.main()
