#!/usr/bin/env python3
"""Trajectories of torch.optim over 200 steps in fp32: the goldens of tests/optim/golden_test.cpp.

    .venv/bin/python tests/goldens/optim.py        writes optim.txt and optim_adamw.pt beside itself

Weights and gradients come from a linear congruential generator in exact integer arithmetic (Knuth's
MMIX: state = state * 6364136223846793005 + 1442695040888963407 mod 2^64; the value is the upper 24
bits, as a multiple of 2^-23 less 1, so in [-1, 1) and exact in fp32). C++ makes the same numbers, and
the golden holds only the final weights.
"""

import pathlib

import torch

SHAPES = [(3, 5), (7,), (2, 3, 2)]
STEPS = 200
HERE = pathlib.Path(__file__).parent

# name: (optimizer, options, options of the second group: the last tensor)
CASES = {
    "sgd": (torch.optim.SGD, dict(lr=1e-2), None),
    "sgd_momentum": (torch.optim.SGD, dict(lr=1e-3, momentum=0.9), None),
    "sgd_dampening": (torch.optim.SGD, dict(lr=1e-3, momentum=0.9, dampening=0.3), None),
    "sgd_nesterov_decay": (torch.optim.SGD, dict(lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-2), None),
    "sgd_two_groups": (torch.optim.SGD, dict(lr=1e-3, momentum=0.9), dict(lr=1e-2, weight_decay=1e-3)),
    "adam": (torch.optim.Adam, dict(lr=1e-3), None),
    "adam_decay": (torch.optim.Adam, dict(lr=1e-3, weight_decay=1e-2, betas=(0.8, 0.99)), None),
    "adam_amsgrad": (torch.optim.Adam, dict(lr=1e-3, amsgrad=True), None),
    "adamw": (torch.optim.AdamW, dict(lr=1e-3), None),
    "adamw_decay": (torch.optim.AdamW, dict(lr=1e-3, weight_decay=0.1, eps=1e-6), None),
    "adamw_amsgrad": (torch.optim.AdamW, dict(lr=1e-3, amsgrad=True), None),
    "adamw_two_groups": (torch.optim.AdamW, dict(lr=1e-3), dict(lr=2e-3, weight_decay=0.0)),
}


class Lcg:
    def __init__(self, seed):
        self.state = seed

    def value(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 2**23 - 1

    def tensor(self, shape):
        count = int(torch.Size(shape).numel())
        return torch.tensor([self.value() for _ in range(count)], dtype=torch.float32).reshape(shape)


def start(random):
    """Weights away from 0, so that a relative error means something: sign * (1 + |value|)."""
    weights = []
    for shape in SHAPES:
        value = random.tensor(shape)
        weights.append(torch.nn.Parameter(torch.where(value < 0, value - 1, value + 1)))
    return weights


def build(kind, options, second, weights):
    if second is None:
        return kind(weights, **options)
    return kind([dict(params=weights[:-1]), dict(params=weights[-1:], **second)], **options)


def run(case, steps):
    kind, options, second = CASES[case]
    random = Lcg(1)
    weights = start(random)
    optimizer = build(kind, options, second, weights)
    for _ in range(steps):
        for weight in weights:
            weight.grad = random.tensor(weight.shape)
        optimizer.step()
    return weights, optimizer, random


def main():
    lines = []
    for case in CASES:
        weights, _, _ = run(case, STEPS)
        numbers = [f"{value:.9g}" for weight in weights for value in weight.detach().flatten().tolist()]
        lines.append(" ".join([case, *numbers]))
    (HERE / "optim.txt").write_text("\n".join(lines) + "\n")

    # State and weights after 10 steps, for loading into C++ (the rest of the trajectory is in optim.txt).
    weights, optimizer, random = run("adamw_two_groups", 10)
    torch.save(
        {"state": optimizer.state_dict(), "weights": [weight.detach() for weight in weights]},
        HERE / "optim_adamw.pt",
    )


if __name__ == "__main__":
    main()
