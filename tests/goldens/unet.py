"""Outputs and gradients of UNet in Python PyTorch, for tests/models/unet_test.cpp.

Run: python tests/goldens/unet.py  (writes unet.json beside this file)

The network is written out a second time, in fp64; weights are filled as models.py says. The image
has odd sides: each halving rounds up, the way back ends at the sizes of the way there.
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import ConvBn, fill, gradient_pairs, short, unit

CHANNELS, CLASSES, WIDTH, LEVELS, SHAPE = 3, 5, 6, 3, (2, 3, 13, 18)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [WIDTH << level for level in range(LEVELS)]
        self.down = nn.ModuleList(
            nn.Sequential(ConvBn(cin, cout), ConvBn(cout, cout))
            for cin, cout in zip([CHANNELS] + widths, widths))
        self.reduce = nn.ModuleList(ConvBn(2 * width, width, kernel=1) for width in widths[:-1])
        self.up = nn.ModuleList(
            nn.Sequential(ConvBn(2 * width, width), ConvBn(width, width)) for width in widths[:-1])
        self.head = nn.Conv2d(WIDTH, CLASSES, 1)

    def forward(self, x):
        skips = []
        for level, convs in enumerate(self.down):
            if level:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = convs(x)
            skips.append(x)
        for reduce, up, skip in reversed(list(zip(self.reduce, self.up, skips))):
            x = F.interpolate(reduce(x), size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([skip, x], 1))
        return self.head(x)


def main():
    net = UNet().double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    x = torch.from_numpy(unit(math.prod(SHAPE), "input")).reshape(SHAPE)
    n, _, height, width = SHAPE
    target = (torch.arange(n * height * width) * 7 % CLASSES).reshape(n, height, width)
    logits = net(x)
    loss = F.cross_entropy(logits, target)
    loss.backward()
    net.eval()  # with the running statistics of the one pass above
    golden = {"channels": CHANNELS, "classes": CLASSES, "width": WIDTH, "levels": LEVELS,
              "shape": SHAPE, "loss": short(loss), "norm": short(logits.norm()),
              "logits": [short(v) for v in logits[:, :, ::4, ::5].flatten()],
              "evaluated": [short(v) for v in net(x)[:, :, ::4, ::5].flatten()],
              "gradients": gradient_pairs(net)}
    path = pathlib.Path(__file__).with_name("unet.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
