"""Outputs and gradients of TextCnn in Python PyTorch, for tests/models/text_cnn_test.cpp.

Run: python tests/goldens/text_cnn.py  (writes text_cnn.json beside this file)

The network is written out a second time, in fp64, with conv1d sentence by sentence: no padding, no
mask. Weights are filled as models.py says; sentence n has LENGTHS[n] words, word t of it is
(5 n + 2 t t + t) % VOCABULARY, its class n % 2.
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

from models import fill, gradient_pairs, short

VOCABULARY, WIDTH, MAPS, SPANS, LENGTHS = 13, 6, 5, (3, 4, 5), (7, 2, 1, 4)


class TextCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.convolutions = nn.ModuleList(nn.Linear(span * WIDTH, MAPS) for span in SPANS)
        self.fc = nn.Linear(len(SPANS) * MAPS, 2)

    def sentence(self, words):
        x = self.embedding(words).T.unsqueeze(0)
        maxima = []
        for span, layer in zip(SPANS, self.convolutions):
            weight = layer.weight.view(MAPS, span, WIDTH).transpose(1, 2)
            padded = F.pad(x, ((span - 1) // 2, span // 2))
            maxima.append(F.relu(F.conv1d(padded, weight, layer.bias)).amax(2))
        return self.fc(torch.cat(maxima, 1))


def main():
    net = TextCnn().double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    sentences = []
    for n, length in enumerate(LENGTHS):
        t = torch.arange(length)
        sentences.append((5 * n + 2 * t * t + t) % VOCABULARY)
    logits = torch.cat([net.sentence(words) for words in sentences])
    loss = F.cross_entropy(logits, torch.arange(len(LENGTHS)) % 2)
    loss.backward()
    golden = {"vocabulary": VOCABULARY, "width": WIDTH, "maps": MAPS, "lengths": LENGTHS,
              "loss": short(loss), "logits": [short(v) for v in logits.flatten()],
              "gradients": gradient_pairs(net)}
    path = pathlib.Path(__file__).with_name("text_cnn.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
