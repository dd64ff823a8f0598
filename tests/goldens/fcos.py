"""Outputs, loss and gradients of Fcos in Python PyTorch, for tests/models/fcos_test.cpp.

Run: python tests/goldens/fcos.py  (writes fcos.json beside this file)

The network is written out a second time, in fp64, its loss location by location; weights are filled
as models.py says, those of the heads divided by 10 so that distances stay within the image.
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pairs, resnet18, short, unit

CLASSES, WIDTH, DEPTH, STRIDES, SHAPE = 3, 16, 1, (8, 16, 32), (2, 3, 64, 96)
BOXES = [[[4, 6, 30, 34], [20, 10, 44, 50], [50, 2, 58, 11]], [[1, 1, 95, 63]]]
OF_CLASS = [[0, 2, 1], [1]]


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
                                   for _ in range(DEPTH))
        self.norms = nn.ModuleList(nn.GroupNorm(8, WIDTH) for _ in range(DEPTH))

    def forward(self, x):
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        return x


class Fcos(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = resnet18(3, 64, 64, True)
        del self.backbone.fc
        self.lateral = nn.ModuleList(nn.Conv2d(cin, WIDTH, 1) for cin in (128, 256, 512))
        self.smooth = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.class_tower, self.box_tower = Tower(), Tower()
        self.class_head = nn.Conv2d(WIDTH, CLASSES, 3, padding=1)
        self.box_head = nn.Conv2d(WIDTH, 4, 3, padding=1)
        self.centre_head = nn.Conv2d(WIDTH, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(3))

    def forward(self, x):
        b = self.backbone
        x = b.layer1(F.max_pool2d(F.relu(b.bn1(b.conv1(x))), 3, 2, 1))
        maps = []
        for stage in (b.layer2, b.layer3, b.layer4):
            x = stage(x)
            maps.append(x)
        levels, above = [], None
        for lateral, x in reversed(list(zip(self.lateral, maps))):
            x = lateral(x)
            if above is not None:
                x = x + F.interpolate(above, size=x.shape[2:], mode="nearest")
            levels.insert(0, x)
            above = x
        outputs = []
        for smooth, scale, stride, x in zip(self.smooth, self.scales, STRIDES, levels):
            x = smooth(x)
            classes, boxes = self.class_tower(x), self.box_tower(x)
            outputs.append((stride, self.class_head(classes),
                            torch.exp(self.box_head(boxes) * scale) * stride,
                            self.centre_head(boxes)))
        return outputs


def target_of(x, y, stride, boxes):
    """The number of the box that the location is to find, None for none."""
    best, which = math.inf, None
    for n, (left, top, right, bottom) in enumerate(boxes):
        far = max(x - left, y - top, right - x, bottom - y)
        near = min(x - left, y - top, right - x, bottom - y)
        off = max(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2))
        least = 0 if stride == STRIDES[0] else 2 * stride
        most = math.inf if stride == STRIDES[-1] else 4 * stride
        area = (right - left) * (bottom - top)
        if near > 0 and off < 1.5 * stride and least < far <= most and area < best:
            best, which = area, n
    return which


def loss_of(outputs):
    focal, giou, weights, centre, found = 0, 0, 0, 0, 0
    for stride, logits, distances, centredness in outputs:
        for n in range(SHAPE[0]):
            for row in range(logits.shape[2]):
                for column in range(logits.shape[3]):
                    x, y = (column + 0.5) * stride, (row + 0.5) * stride
                    which = target_of(x, y, stride, BOXES[n])
                    p = logits[n, :, row, column].sigmoid()
                    for c in range(CLASSES):
                        if which is not None and OF_CLASS[n][which] == c:
                            focal = focal - 0.25 * (1 - p[c]) ** 2 * p[c].log()
                        else:
                            focal = focal - 0.75 * p[c] ** 2 * (1 - p[c]).log()
                    if which is None:
                        continue
                    found += 1
                    left, top, right, bottom = BOXES[n][which]
                    l, t, r, b = x - left, y - top, right - x, bottom - y
                    weight = math.sqrt(min(l, r) / max(l, r) * min(t, b) / max(t, b))
                    d = distances[n, :, row, column]
                    area = (d[0] + d[2]) * (d[1] + d[3])
                    true_area = (l + r) * (t + b)
                    both = (d[0].clamp(max=l) + d[2].clamp(max=r)) * (
                        d[1].clamp(max=t) + d[3].clamp(max=b))
                    hull = (d[0].clamp(min=l) + d[2].clamp(min=r)) * (
                        d[1].clamp(min=t) + d[3].clamp(min=b))
                    either = area + true_area - both
                    giou = giou + weight * (1 - both / either + (hull - either) / hull)
                    weights += weight
                    logit = centredness[n, 0, row, column]
                    centre = centre + F.binary_cross_entropy_with_logits(
                        logit, torch.tensor(weight, dtype=torch.float64))
    return focal / found + giou / weights + centre / found, found


def main():
    net = Fcos().double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape) / (10 if "head.weight" in key else 1))
    x = torch.from_numpy(unit(math.prod(SHAPE), "input")).reshape(SHAPE)
    outputs = net(x)
    loss, found = loss_of(outputs)
    loss.backward()

    def flat(part):
        return [short(v) for o in outputs for v in o[part][0].permute(1, 2, 0).flatten()][::7]

    golden = {"classes": CLASSES, "width": WIDTH, "depth": DEPTH, "shape": SHAPE, "boxes": BOXES,
              "of_class": OF_CLASS, "found": found, "loss": short(loss), "logits": flat(1),
              "distances": flat(2), "centredness": flat(3), "gradients": gradient_pairs(net)}
    path = pathlib.Path(__file__).with_name("fcos.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
