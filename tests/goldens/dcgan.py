"""Outputs and gradients of models/dcgan.h, for tests/models/dcgan_test.cpp.

Run: python tests/goldens/dcgan.py  (writes dcgan.json beside this file)

Both networks are written out in fp64 and train; weights are filled as models.py says, the latents
are unit("latent"). The loss is the mean of softplus(-score) of what was generated.
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pairs, short, unit

BATCH, LATENT, WIDTH = 3, 5, 4


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(LATENT, 2 * WIDTH * 49, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(2 * WIDTH), nn.BatchNorm2d(WIDTH)
        self.up1 = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1, bias=False)
        self.up2 = nn.ConvTranspose2d(WIDTH, 1, 4, 2, 1)

    def forward(self, z):
        x = F.relu(self.norm1(self.fc(z).view(-1, 2 * WIDTH, 7, 7)))
        return torch.tanh(self.up2(F.relu(self.norm2(self.up1(x)))))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, WIDTH, 4, 2, 1)
        self.conv2 = nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(2 * WIDTH)
        self.fc = nn.Linear(2 * WIDTH * 49, 1)

    def forward(self, x):
        x = F.leaky_relu(self.conv1(x), 0.2)
        x = F.leaky_relu(self.norm2(self.conv2(x)), 0.2)
        return self.fc(x.flatten(1)).squeeze(1)


class Dcgan(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator, self.discriminator = Generator(), Discriminator()


def main():
    net = Dcgan().double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    z = torch.from_numpy(unit(BATCH * LATENT, "latent")).view(BATCH, LATENT)
    images = net.generator(z)
    scores = net.discriminator(images)
    loss = F.softplus(-scores).mean()
    loss.backward()
    probe = torch.from_numpy(unit(images.numel(), "probe"))
    golden = {"batch": BATCH, "latent": LATENT, "width": WIDTH, "loss": short(loss),
              "images": [short(images.norm()), short((images.flatten() * probe).sum())],
              "scores": [short(v) for v in scores], "gradients": gradient_pairs(net)}
    path = pathlib.Path(__file__).with_name("dcgan.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
