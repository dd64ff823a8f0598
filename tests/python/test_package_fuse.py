"""halftone.fuse: what it fuses, that nothing else changes, and how much less the graph keeps."""

import copy
import pathlib
import pickle
import sys
import unittest
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import package  # noqa: E402

halftone = package.import_halftone()
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

# Half formats' results against fp32, relative to the norm: unit roundoffs 2^-11 and 2^-8, three of them
# (operands, result) for each of some ten layers, added as squares: 3 u sqrt(10).
TOLERANCE = {torch.float16: 5e-3, torch.bfloat16: 4e-2}


class Bottleneck(nn.Module):
    """torchvision's."""

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        out = 4 * planes
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inplanes != out:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, out, 1, stride, bias=False),
                                            nn.BatchNorm2d(out))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, width=8, blocks=(2, 1)):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inplanes = width
        for stage, count in enumerate(blocks):
            planes = width << stage
            layers = []
            for i in range(count):
                layers.append(Bottleneck(inplanes, planes, 2 if stage and not i else 1))
                inplanes = 4 * planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inplanes, 5)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Mlp(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16))


def resnet():
    torch.manual_seed(1)
    return ResNet()


def step(model, x, dtype=None):
    """Output, loss, gradients; dtype: of autocast, None for none."""
    model.zero_grad()
    with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
        output = model(x)
    loss = output.float().square().mean()
    loss.backward()
    return output.detach(), loss.item(), [p.grad.clone() for p in model.parameters()]


def in_use(run):
    """Bytes that run() leaves allocated, of the caching allocator's blocks (16 KiB and more)."""
    before = halftone.info()["allocator"]["in_use_bytes"]
    result = run()
    bytes_in_use = halftone.info()["allocator"]["in_use_bytes"] - before
    del result
    return bytes_in_use


class Fuse(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.x = torch.randn(4, 3, 32, 32)

    def close(self, found, expected, tolerance):
        self.assertLess(((found.float() - expected).norm() / expected.norm()).item(), tolerance)

    def test_names_and_parameters_stay(self):
        model = resnet()
        state, parameters = model.state_dict(), dict(model.named_parameters())
        self.assertIs(halftone.fuse(model), model)
        self.assertIs(type(model), ResNet)
        self.assertEqual(list(model.state_dict()), list(state))
        for name, parameter in model.named_parameters():
            self.assertIs(parameter, parameters[name])
        model.load_state_dict(resnet().state_dict())

    def test_says_what_it_did(self):
        report = halftone.fusion_report(halftone.fuse(resnet()))
        self.assertEqual(report["fused"]["bn1"], "BatchNorm2d + ReLU")
        self.assertEqual(report["fused"]["layer1.0.bn3"], "BatchNorm2d + add + ReLU")
        self.assertEqual(report["fused"]["layer1.1.conv2"], "Conv2d: input computed again where it can be")
        self.assertEqual(report["left_alone"], {
            "layer1.0.downsample.1": "BatchNorm2d: no ReLU of its own follows it",
            "layer2.0.downsample.1": "BatchNorm2d: no ReLU of its own follows it"})
        with self.assertRaisesRegex(ValueError, "halftone.fuse was not called"):
            halftone.fusion_report(resnet())

    def test_fp32_keeps_its_bits(self):
        for training in (True, False):
            plain, fused = resnet().train(training), halftone.fuse(resnet()).train(training)
            for a, b in zip(step(fused, self.x)[2], step(plain, self.x)[2]):
                self.assertTrue(torch.equal(a, b))
            for a, b in zip(fused.buffers(), plain.buffers()):
                self.assertTrue(torch.equal(a, b))

    def test_half_is_as_near_to_fp32_as_the_unfused_model(self):
        for dtype, tolerance in TOLERANCE.items():
            for training in (True, False):
                exact = step(resnet().train(training), self.x)
                plain = step(resnet().train(training), self.x, dtype)
                model = halftone.fuse(resnet()).train(training)
                fused = step(model, self.x, dtype)
                self.close(fused[0], exact[0], tolerance)
                for a, b, c in zip(fused[2], plain[2], exact[2]):
                    own, other = ((each - c).norm() / c.norm() for each in (a, b))
                    self.assertLess(own.item(), 2 * other.item() + tolerance)
                self.assertEqual(model.bn1.num_batches_tracked.item(), int(training))

    def test_half_operations_take_the_fused_kernels(self):
        model = halftone.fuse(resnet())
        with torch.autocast("cpu", torch.bfloat16):
            y = model.bn1(model.conv1(self.x))
            block = model.layer1[0](model.relu(model.maxpool(y)))
        self.assertIn("FusedBatchNorm", block.grad_fn.name())

    def test_trains_with_cast_and_an_optimizer_made_before(self):
        for policy, dtype in (("bf16-master", torch.bfloat16), ("fp16-master", torch.float16)):
            model = resnet()
            optimizer = halftone.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
            halftone.cast(halftone.fuse(model), policy)
            scaler = torch.amp.GradScaler("cpu", enabled=dtype is torch.float16, init_scale=256.0)
            target = torch.arange(4)
            losses = []
            for _ in range(25):
                with torch.autocast("cpu", dtype):
                    loss = F.cross_entropy(model(self.x).float(), target)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                losses.append(loss.item())
            self.assertLess(losses[-1], losses[0] / 4)

    def test_copies_and_pickles_are_fused_and_apart(self):
        model = halftone.fuse(resnet())
        expected = step(model, self.x, torch.bfloat16)
        for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            other.load_state_dict(resnet().state_dict())
            found = step(other, self.x, torch.bfloat16)
            self.assertTrue(torch.equal(found[0], expected[0]))
            self.assertIsNot(other.forward.module, model)
            self.assertEqual(halftone.fusion_report(other), halftone.fusion_report(model))
            with torch.no_grad():
                other.bn1.weight.zero_()
            self.assertTrue(torch.equal(step(model, self.x, torch.bfloat16)[2][0], expected[2][0]))

    def test_is_idempotent(self):
        model = halftone.fuse(resnet())
        report = halftone.fusion_report(model)
        halftone.fuse(model)
        self.assertEqual(halftone.fusion_report(model), report)
        self.assertEqual(len(model.conv1._forward_hooks), 1)

    def test_hooks_on_a_normalisation_still_see_what_it_gives(self):
        model = halftone.fuse(resnet())
        seen = []
        model.bn1.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
        step(model, self.x, torch.bfloat16)
        self.assertLess(seen[0].min().item(), 0)  # before ReLU

    def test_keeps_less(self):
        """A bottleneck of width w keeps 12 w of a plane: the inputs of its three normalisations, 6 w,
        and what ReLU gave, 6 w. Fused: the former, and 4 w in every second block; the stem keeps what
        its convolution gave, its pool's result and places in int16 instead of int64."""
        width, side, batch = 64, 64, 4
        model = ResNet(width, (3,)).to(memory_format=torch.channels_last)
        x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
        plane = 2 * batch * (side // 4) ** 2  # bytes of a channel

        def forward():
            with torch.autocast("cpu", torch.bfloat16):
                return model(x).sum()
        forward()  # autocast's casts of weights are freed with it
        unfused = in_use(forward)
        halftone.fuse(model)
        fused = in_use(forward)
        relu = 3 * 2 * width  # inside the three blocks
        results = 4 * width  # of the second block
        stem = 4 * width  # at twice the side
        places = 3 * width  # 6 of 8 bytes each
        self.assertAlmostEqual((unfused - fused) / plane / width,
                               (relu + results + stem + places) / width, delta=1)

    def test_mlp_keeps_what_gelu_took(self):
        torch.manual_seed(3)
        model = Mlp().bfloat16()
        x = torch.randn(8, 128, 16).bfloat16()
        expected = step(model, x)
        unfused = in_use(lambda: model(x).sum())
        halftone.fuse(model)
        self.assertAlmostEqual(unfused - in_use(lambda: model(x).sum()), 2 * 8 * 128 * 64, delta=1024)
        found = step(model, x)
        for a, b in zip(found[2], expected[2]):
            self.assertTrue(torch.equal(a, b))

    def test_checkpointing_and_hooks_on_saved_tensors_work(self):
        from torch.utils.checkpoint import checkpoint
        block = halftone.fuse(Bottleneck(16, 4)).bfloat16()
        x = torch.randn(2, 16, 8, 8).bfloat16().requires_grad_()

        def gradient(run):
            return torch.autograd.grad(run(x).float().square().sum(), x)[0]
        block.eval()  # a second forward pass moves running statistics, as without fuse
        expected = gradient(block)
        self.assertTrue(torch.equal(gradient(lambda x: checkpoint(block, x, use_reentrant=False)), expected))
        with torch.autograd.graph.save_on_cpu():
            self.assertTrue(torch.equal(gradient(block), expected))

    def test_torch_func(self):
        def gradients(model):
            def loss(parameters):
                with torch.autocast("cpu", torch.bfloat16):
                    return torch.func.functional_call(model, parameters, self.x).float().square().mean()
            return torch.func.grad(loss)(dict(model.named_parameters()))
        found, expected = (gradients(model.eval()) for model in (halftone.fuse(resnet()), resnet()))
        for name, gradient in expected.items():
            self.close(found[name], gradient, TOLERANCE[torch.bfloat16])
        self.test_half_operations_take_the_fused_kernels()  # afterwards as before

    def test_inference(self):
        model = halftone.fuse(resnet()).eval()
        with torch.autocast("cpu", torch.bfloat16):
            expected = model(self.x)
            for mode in (torch.no_grad, torch.inference_mode):
                with mode():
                    self.assertTrue(torch.equal(model(self.x), expected))


class Conditional(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.bn(x)
        return F.relu(y) if x.sum() > 0 else y


class Dropping(nn.Module):
    """Has other operations in training."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x):
        x = F.relu(self.bn(x))
        return F.dropout(x, 0.5, training=self.training)


class Used(nn.Module):
    """What it gives before ReLU goes elsewhere, too; and its input is written to in between."""

    def __init__(self):
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.bn1(x)
        x = x * 2
        z = self.bn2(x)
        x.mul_(3)
        return F.relu(y) + y + F.relu(z + y)


class LeftAlone(unittest.TestCase):
    def test_what_cannot_be_traced(self):
        model = Conditional()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            halftone.fuse(model)
        self.assertEqual(len(caught), 1)
        self.assertIn("nothing could be fused (bn: BatchNorm2d: torch.fx cannot trace Conditional",
                      str(caught[0].message))
        self.assertNotIn("forward", model.__dict__)

    def test_each_mode_has_its_own_operations(self):
        model = halftone.fuse(Dropping())
        x = torch.randn(2, 4, 8, 8).bfloat16()
        self.assertGreater((model(x) == 0).float().mean().item(), 0.6)
        model.eval()
        self.assertLess((model(x) == 0).float().mean().item(), 0.6)
        self.assertTrue(torch.equal(model(x), F.relu(model.bn(x))))

    def test_results_that_are_used_elsewhere_and_inputs_that_change(self):
        plain = Used()
        x = torch.randn(2, 4, 8, 8)
        expected = plain(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fused = halftone.fuse(Used())
        self.assertTrue(torch.equal(fused(x), expected))
        self.assertEqual(halftone.fusion_report(fused)["fused"], {})

    def test_a_forward_replaced_on_the_object(self):
        model = nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
        model.forward = lambda x: x
        halftone.fuse(model)
        self.assertEqual(halftone.fusion_report(model)["left_alone"],
                         {"0": "BatchNorm2d: forward was replaced on the object"})


if __name__ == "__main__":
    unittest.main()
