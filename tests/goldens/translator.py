"""Outputs and gradients of a translator in Python PyTorch, for tests/models/translator_test.cpp.

Run: python tests/goldens/translator.py  (writes translator.json beside this file)

torch.nn's own encoder and decoder layers, in fp64, normalised first, with sines for positions and one
embedding for source, target and output. Weights are filled as models.py says, under the names that
named() gives them: torch.nn keeps the cross-attention's query, key and value in one tensor.

Pair n has SOURCES[n] tokens, token s being (5 n + 2 s s + s) % VOCABULARY, and TARGETS[n] that are
predicted, each from those before it: token t is (7 n + 3 t t + t) % VOCABULARY. The rest is padding, at
which the same rules go on: what is there must not count. Logits are those of the targets that do.
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pair, short

VOCABULARY, LAYERS, HEADS, WIDTH, INNER, SMOOTHING = 11, 2, 3, 12, 20, 0.1
SOURCES, TARGETS = (5, 2, 1), (3, 6, 1)
SETTINGS = {"d_model": WIDTH, "nhead": HEADS, "dim_feedforward": INNER, "dropout": 0.0,
            "activation": "relu", "batch_first": True, "norm_first": True}


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**SETTINGS), LAYERS, nn.LayerNorm(WIDTH),
                                             enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**SETTINGS), LAYERS, nn.LayerNorm(WIDTH))

    def embed(self, tokens):
        waves = torch.tensor([[(math.cos if i % 2 else math.sin)(place / 10000 ** ((i - i % 2) / WIDTH))
                               for i in range(WIDTH)] for place in range(tokens.shape[1])], dtype=torch.float64)
        return self.embedding(tokens) * math.sqrt(WIDTH) + waves

    def forward(self, tokens, padding, prefix, prefix_padding):
        length = prefix.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        memory = self.encoder(self.embed(tokens), src_key_padding_mask=padding)
        states = self.decoder(self.embed(prefix), memory, tgt_mask=later, tgt_key_padding_mask=prefix_padding,
                              memory_key_padding_mask=padding)
        return states @ self.embedding.weight.T


def layer_parts(layer, cross):
    """(name, module, first row, behind the last row or None) of each of a layer's parts."""
    yield "norm1" if cross else "norm", layer.norm1, 0, None
    yield "self_attn.in_proj", layer.self_attn, 0, None
    yield "self_attn.out_proj", layer.self_attn.out_proj, 0, None
    if cross:
        yield "norm2", layer.norm2, 0, None
        yield "cross_attn.q_proj", layer.multihead_attn, 0, WIDTH
        yield "cross_attn.kv_proj", layer.multihead_attn, WIDTH, None
        yield "cross_attn.out_proj", layer.multihead_attn.out_proj, 0, None
    yield "feed_forward.norm", layer.norm3 if cross else layer.norm2, 0, None
    yield "feed_forward.linear1", layer.linear1, 0, None
    yield "feed_forward.linear2", layer.linear2, 0, None


def named(net):
    """(name in halftone/models/translator.cpp, parameter, its rows) of all parameters."""
    yield "embedding.weight", net.embedding.weight, slice(None)
    for stack, cross in (("encoder", False), ("decoder", True)):
        whole = getattr(net, stack)
        parts = [(f"{stack}.{i}.{name}", *rest) for i, layer in enumerate(whole.layers)
                 for name, *rest in layer_parts(layer, cross)]
        for name, module, first, behind in [*parts, (f"{stack}_norm", whole.norm, 0, None)]:
            joined = "in_proj_" if isinstance(module, nn.MultiheadAttention) else ""
            for kind in ("weight", "bias"):
                yield f"{name}.{kind}", getattr(module, joined + kind), slice(first, behind)


def pairs():
    n, sources, targets = (torch.tensor(v)[:, None] for v in (range(len(SOURCES)), SOURCES, TARGETS))
    s, t = torch.arange(max(SOURCES)), torch.arange(max(TARGETS) + 1)
    text = (7 * n + 3 * t * t + t) % VOCABULARY
    return (5 * n + 2 * s * s + s) % VOCABULARY, s >= sources, text[:, :-1], text[:, 1:], t[:-1] >= targets


def main():
    net = Translator().double()
    with torch.no_grad():
        for name, parameter, rows in named(net):
            parameter[rows] = fill(name, parameter[rows].shape)
    tokens, padding, prefix, target, target_padding = pairs()
    logits = net(tokens, padding, prefix, target_padding)
    loss = F.cross_entropy(logits.flatten(0, 1), target.masked_fill(target_padding, -100).flatten(),
                           ignore_index=-100, label_smoothing=SMOOTHING)
    loss.backward()
    golden = {"vocabulary": VOCABULARY, "layers": LAYERS, "heads": HEADS, "width": WIDTH, "inner": INNER,
              "smoothing": SMOOTHING, "sources": SOURCES, "targets": TARGETS, "loss": short(loss),
              "logits": [short(v) for v in logits[~target_padding].flatten()],
              "gradients": {name: gradient_pair(parameter.grad[rows]) for name, parameter, rows in named(net)}}
    path = pathlib.Path(__file__).with_name("translator.json")
    path.write_text("[\n" + json.dumps(golden) + "\n]\n")


if __name__ == "__main__":
    main()
