"""Outputs and gradients of GPT in Python PyTorch, for tests/models/gpt_test.cpp.

Run: python tests/goldens/gpt.py  (writes gpt.json beside this file)

The network is written out a second time, in fp64, attention by its formula. Weights are filled as
models.py says; the token at position t of sequence n is (7 n + 3 t t + t) % vocabulary, its target the
one after it.
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pairs, short

VOCABULARY, CONTEXT, LAYERS, HEADS, WIDTH = 11, 8, 2, 3, 12
SEQUENCES, LENGTH = 3, 6  # shorter than the context


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.attn_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.c_fc, self.mlp_proj = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def attend(self, x):
        n, t, c = x.shape
        q, k, v = (part.view(n, t, HEADS, c // HEADS).transpose(1, 2)
                   for part in self.c_attn(x).split(c, dim=2))
        scores = q @ k.transpose(2, 3) / math.sqrt(c // HEADS)
        later = torch.ones(t, t, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(later, -math.inf).softmax(3)
        return self.attn_proj((weights @ v).transpose(1, 2).reshape(n, t, c))

    def forward(self, x):
        x = x + self.attend(self.ln_1(x))
        h = self.c_fc(self.ln_2(x))
        return x + self.mlp_proj(h * 0.5 * (1 + torch.erf(h / math.sqrt(2))))


class Gpt(nn.Module):
    def __init__(self, tied):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.h = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(WIDTH)
        self.lm_head = None if tied else nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ (self.lm_head or self.wte).weight.T


def measure(tied):
    net = Gpt(tied).double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    n, t = torch.meshgrid(torch.arange(SEQUENCES), torch.arange(LENGTH + 1), indexing="ij")
    tokens = (7 * n + 3 * t * t + t) % VOCABULARY
    logits = net(tokens[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    return {"tied": tied, "vocabulary": VOCABULARY, "context": CONTEXT, "layers": LAYERS,
            "heads": HEADS, "width": WIDTH, "sequences": SEQUENCES, "length": LENGTH,
            "loss": short(loss), "logits": [short(v) for v in logits.flatten()],
            "gradients": gradient_pairs(net)}


def main():
    cases = [json.dumps(measure(tied)) for tied in (False, True)]
    path = pathlib.Path(__file__).with_name("gpt.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
