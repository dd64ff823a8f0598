"""Outputs and gradients of the networks in Python PyTorch, for tests/models/golden_test.cpp.

Run: python tests/goldens/models.py  (writes models.json beside this file)

The networks are written out here a second time, in fp64. Both sides fill weights and images with the
same numbers: element i (in contiguous order) of the tensor called `name` is unit(i, name) in
[-1, 1), times what fill() says, rounded to fp32. A gradient is told by its norm and by its dot
product with unit(i, "probe").
"""
import json
import math
import pathlib

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BATCH, CLASSES = 4, 10
MASK = 0xFFFFFFFF


def unit(count, name):
    """A 32-bit FNV-1a hash of the name, mixed with the index (multiply, shift, xor)."""
    key = 2166136261
    for byte in name.encode():
        key = ((key ^ byte) * 16777619) & MASK
    h = (np.arange(count, dtype=np.uint64) * 2654435761 + key) & MASK
    h ^= h >> 15
    h = (h * 2246822519) & MASK
    h ^= h >> 13
    h = (h * 3266489917) & MASK
    h ^= h >> 16
    return (h >> 8).astype(np.float64) / 2.0**23 - 1.0


def fill(name, shape):
    values = unit(math.prod(shape), name)
    if len(shape) >= 2:  # a weight: Kaiming uniform
        values = values * math.sqrt(6 / math.prod(shape[1:]))
    elif name.endswith("weight"):  # of a normalisation
        values = 1 + 0.25 * values
    else:
        values = 0.1 * values
    return torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(shape)


def conv(cin, cout, kernel, stride=1):
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)


class ConvBn(nn.Module):
    def __init__(self, cin, cout, kernel=3, stride=1):
        super().__init__()
        self.conv = conv(cin, cout, kernel, stride)
        self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Mlp(nn.Module):
    def __init__(self, c, h, w, imagenet):
        super().__init__()
        self.fc1 = nn.Linear(c * h * w, 512)
        self.fc2 = nn.Linear(512, 512)
        self.fc3 = nn.Linear(512, CLASSES)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Cnn(nn.Module):
    def __init__(self, c, h, w, imagenet):
        super().__init__()
        self.imagenet = imagenet
        self.conv1 = nn.Conv2d(c, 32, 7, 2, 3) if imagenet else nn.Conv2d(c, 32, 5, 1, 2)
        self.conv2 = nn.Conv2d(32, 64, 5, 1, 2)
        self.fc1 = nn.Linear(self.features(torch.zeros(1, c, h, w)).shape[1], 512)
        self.fc2 = nn.Linear(512, CLASSES)

    def features(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(x, 3, 2, 1) if self.imagenet else F.max_pool2d(x, 2)
        return F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(self.features(x))))


class FastBlock(nn.Module):
    def __init__(self, cin, width):
        super().__init__()
        self.conv1, self.norm1 = conv(cin, width, 3), nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
        self.conv2, self.norm2 = conv(width, width, 3), nn.BatchNorm2d(width, eps=1e-12, momentum=0.4)
        self.norm1.weight.requires_grad = self.norm2.weight.requires_grad = False

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Fast(nn.Module):
    def __init__(self, c, h, w, imagenet):
        super().__init__()
        self.whiten = nn.Conv2d(c, 8 * c, 2)
        self.whiten.weight.requires_grad = False
        self.block1, self.block2 = FastBlock(8 * c, 64), FastBlock(64, 256)
        self.block3 = FastBlock(256, 256)
        self.fc = nn.Linear(256, CLASSES, bias=False)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(F.gelu(self.whiten(x)))))
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1)) / 9


class ResNet9(nn.Module):
    def __init__(self, c, h, w, imagenet):
        super().__init__()
        self.imagenet = imagenet
        self.prep = ConvBn(c, 64, 7, 2) if imagenet else ConvBn(c, 64)
        self.layer1 = ConvBn(64, 128)
        self.residual1 = nn.Sequential(ConvBn(128, 128), ConvBn(128, 128))
        self.layer2 = ConvBn(128, 256)
        self.layer3 = ConvBn(256, 512)
        self.residual3 = nn.Sequential(ConvBn(512, 512), ConvBn(512, 512))
        self.fc = nn.Linear(512, CLASSES, bias=False)

    def forward(self, x):
        def pool(x):
            return F.max_pool2d(x, 2, ceil_mode=True)

        x = self.prep(x)
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        x = pool(self.layer1(x))
        x = x + self.residual1(x)
        x = pool(self.layer3(pool(self.layer2(x))))
        x = x + self.residual3(x)
        return self.fc(F.adaptive_max_pool2d(x, 1).flatten(1)) * 0.125


class Block(nn.Module):
    """Basic (two 3x3) or bottleneck (1x1, 3x3, 1x1 to four times the width)."""

    def __init__(self, cin, width, stride, bottleneck):
        super().__init__()
        self.bottleneck = bottleneck
        cout = width * (4 if bottleneck else 1)
        if bottleneck:
            self.conv1, self.bn1 = conv(cin, width, 1), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = conv(width, cout, 1), nn.BatchNorm2d(cout)
        else:
            self.conv1, self.bn1 = conv(cin, width, 3, stride), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.downsample = None
        if cin != cout or stride != 1:
            self.downsample = nn.Sequential(conv(cin, cout, 1, stride), nn.BatchNorm2d(cout))

    def forward(self, x):
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        if self.bottleneck:
            h = self.bn3(self.conv3(F.relu(h)))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, c, imagenet, blocks, bottleneck):
        super().__init__()
        self.imagenet = imagenet
        self.conv1 = conv(c, 64, 7, 2) if imagenet else conv(c, 64, 3)
        self.bn1 = nn.BatchNorm2d(64)
        cin = 64
        for stage, count in enumerate(blocks):
            layers = []
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Block(cin, 64 << stage, stride, bottleneck))
                cin = (64 << stage) * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(cin, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.imagenet:
            x = F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class ConvBnRelu6(nn.Sequential):
    def __init__(self, cin, cout, kernel, stride, groups=1):
        super().__init__(nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False),
                         nn.BatchNorm2d(cout), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, cin, cout, stride, expansion):
        super().__init__()
        hidden = cin * expansion
        layers = [ConvBnRelu6(cin, hidden, 1, 1)] if expansion > 1 else []
        layers += [ConvBnRelu6(hidden, hidden, 3, stride, hidden), conv(hidden, cout, 1),
                   nn.BatchNorm2d(cout)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and cin == cout

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    """As torchvision's, whose names of parameters it has, but for the CIFAR stem; no dropout, which
    is random."""

    def __init__(self, c, h, w, imagenet):
        super().__init__()
        layers = [ConvBnRelu6(c, 32, 3, 2 if imagenet else 1)]
        cin = 32
        for t, cout, n, s in ((1, 16, 1, 1), (6, 24, 2, 2 if imagenet else 1), (6, 32, 3, 2),
                              (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
            for block in range(n):
                layers.append(InvertedResidual(cin, cout, s if block == 0 else 1, t))
                cin = cout
        self.features = nn.Sequential(*layers, ConvBnRelu6(cin, 1280, 1, 1))
        self.classifier = nn.Sequential(nn.Dropout(0), nn.Linear(1280, CLASSES))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def resnet18(c, h, w, imagenet):
    return ResNet(c, imagenet, (2, 2, 2, 2), bottleneck=False)


def resnet50(c, h, w, imagenet):
    return ResNet(c, imagenet, (3, 4, 6, 3), bottleneck=True)


CASES = [  # name, maker, channels, side, ImageNet stem
    ("mlp", Mlp, 1, 28, False),
    ("cnn", Cnn, 1, 28, False),
    ("cnn", Cnn, 3, 32, True),
    ("fast", Fast, 3, 32, False),
    ("fast", Fast, 1, 28, False),
    ("mobilenet-v2", MobileNetV2, 3, 32, False),
    ("mobilenet-v2", MobileNetV2, 1, 64, True),
    ("resnet9", ResNet9, 1, 28, False),
    ("resnet9", ResNet9, 3, 32, True),
    ("resnet18", resnet18, 3, 16, False),
    ("resnet18", resnet18, 1, 28, True),
    ("resnet50", resnet50, 3, 16, False),
    ("resnet50", resnet50, 3, 32, True),
]


def short(value):
    return float(f"{value:.12g}")


def gradient_pair(gradient):
    """Its norm and its dot product with unit(i, "probe")."""
    flat = gradient.flatten()
    return [short(flat.norm()), short(flat @ torch.from_numpy(unit(flat.numel(), "probe")))]


def gradient_pairs(net):
    return {key: gradient_pair(parameter.grad) for key, parameter in net.named_parameters()
            if parameter.requires_grad}


def measure(name, make, channels, side, imagenet):
    net = make(channels, side, side, imagenet).double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    shape = (BATCH, channels, side, side)
    x = torch.from_numpy(unit(math.prod(shape), "input")).reshape(shape)
    target = torch.arange(BATCH) * 7 % CLASSES
    net.train()
    logits = net(x)
    loss = F.cross_entropy(logits, target)
    loss.backward()
    net.eval()  # with the running statistics of the one pass above
    evaluated = net(x)
    return {
        "name": name, "channels": channels, "side": side,
        "stem": "imagenet" if imagenet else "cifar", "loss": short(loss),
        "logits": [short(v) for v in logits.flatten()],
        "evaluated": [short(v) for v in evaluated.flatten()],
        "gradients": gradient_pairs(net),
    }


def main():
    torch.manual_seed(0)
    cases = [json.dumps(measure(*case)) for case in CASES]
    path = pathlib.Path(__file__).with_name("models.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
