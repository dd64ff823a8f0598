"""Outputs and gradients of the recommenders in Python PyTorch, for tests/models/recommender_test.cpp.

Run: python tests/goldens/recommender.py  (writes recommender.json beside this file)

The networks are written out a second time, in fp64, weights filled as models.py says. Pair n is user
(5 n + 1) % USERS and item (3 n n + n) % ITEMS; its target is (n % 5) + 1 (mf) or n % 2 (neumf).
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pairs, short

USERS, ITEMS, FACTORS, PAIRS, MEAN = 7, 9, 8, 12, 3.5


class Mf(nn.Module):
    def __init__(self):
        super().__init__()
        self.user_factors, self.item_factors = nn.Embedding(USERS, FACTORS), nn.Embedding(ITEMS, FACTORS)
        self.user_bias, self.item_bias = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)

    def forward(self, u, i):
        product = torch.einsum("nf,nf->n", self.user_factors(u), self.item_factors(i))
        return MEAN + self.user_bias(u)[:, 0] + self.item_bias(i)[:, 0] + product


class NeuMf(nn.Module):
    def __init__(self):
        super().__init__()
        self.user_gmf, self.item_gmf = nn.Embedding(USERS, FACTORS), nn.Embedding(ITEMS, FACTORS)
        self.user_mlp, self.item_mlp = nn.Embedding(USERS, FACTORS), nn.Embedding(ITEMS, FACTORS)
        widths = [2 * FACTORS, FACTORS, FACTORS // 2, FACTORS // 4]
        self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.head = nn.Linear(FACTORS + widths[-1], 1)

    def forward(self, u, i):
        h = torch.cat([self.user_mlp(u), self.item_mlp(i)], dim=1)
        for layer in self.mlp:
            h = torch.relu(layer(h))
        return self.head(torch.cat([self.user_gmf(u) * self.item_gmf(i), h], dim=1))[:, 0]


def measure(name, net):
    net = net.double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    n = torch.arange(PAIRS)
    output = net((5 * n + 1) % USERS, (3 * n * n + n) % ITEMS)
    if name == "mf":
        loss = F.mse_loss(output, (n % 5 + 1).double())
    else:
        loss = F.binary_cross_entropy_with_logits(output, (n % 2).double())
    loss.backward()
    return {"name": name, "users": USERS, "items": ITEMS, "factors": FACTORS, "pairs": PAIRS,
            "mean": MEAN, "loss": short(loss), "output": [short(v) for v in output],
            "gradients": gradient_pairs(net)}


def main():
    cases = [json.dumps(measure(*case)) for case in (("mf", Mf()), ("neumf", NeuMf()))]
    path = pathlib.Path(__file__).with_name("recommender.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
