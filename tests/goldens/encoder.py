"""Outputs and gradients of Hugging Face's BERT, for tests/models/encoder_test.cpp.

Run: python tests/goldens/encoder.py [FOLDER]  (needs `transformers`; writes encoder.json beside this
file)

A tiny random configuration in fp64, weights filled as models.py says. Sequence n has LENGTHS[n]
tokens: token t is (5 n + 2 t t + t) % VOCABULARY, of type 1 from the middle on; the rest is padding.
The loss is the dot product of the states (of what is no padding) and of the pooled states with
unit(i, "states") and unit(i, "pooled"). pad_token_id only decides whether that token, which is masked
in all use, gets a gradient: here every token does.

With FOLDER (a Hugging Face folder with real weights): writes FOLDER/states.json instead, the states
of a sentence in fp32, to be compared by hand with HALFTONE_BERT=FOLDER test_models.
"""
import json
import pathlib
import sys

import torch
from transformers import BertConfig, BertModel

from models import fill, gradient_pairs, short, unit

VOCABULARY, LENGTHS = 17, (6, 3, 1)
CONFIG = {"model_type": "bert", "vocab_size": VOCABULARY, "max_position_embeddings": 9, "type_vocab_size": 2,
          "num_hidden_layers": 2, "num_attention_heads": 3, "hidden_size": 12, "intermediate_size": 20,
          "pad_token_id": None, "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def batch():
    n, t = torch.meshgrid(torch.arange(len(LENGTHS)), torch.arange(max(LENGTHS)), indexing="ij")
    lengths = torch.tensor(LENGTHS)[:, None]
    return (5 * n + 2 * t * t + t) % VOCABULARY, t < lengths, (2 * t >= lengths).long()


def measure(activation):
    config = {**CONFIG, "hidden_act": activation}
    net = BertModel(BertConfig(**config, attn_implementation="eager")).double()
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(fill(key, parameter.shape))
    tokens, mask, types = batch()
    out = net(input_ids=tokens, attention_mask=mask.long(), token_type_ids=types)
    states, pooled = out.last_hidden_state, out.pooler_output
    loss = sum((value.flatten() * torch.from_numpy(unit(value.numel(), name))).sum()
               for name, value in (("states", states * mask[..., None]), ("pooled", pooled)))
    loss.backward()
    return {"config": config, "lengths": LENGTHS, "loss": short(loss),
            "states": [short(v) for v in states[mask].flatten()],
            "pooled": [short(v) for v in pooled.flatten()], "gradients": gradient_pairs(net)}


def real(folder):
    net = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokens = torch.tensor([[101, 1996, 2143, 2003, 14477, 20961, 3468, 1012, 102]])
    with torch.no_grad():
        out = net(input_ids=tokens)
    values = {"tokens": tokens[0].tolist(), "states": out.last_hidden_state.flatten().tolist(),
              "pooled": out.pooler_output.flatten().tolist()}
    (pathlib.Path(folder) / "states.json").write_text(json.dumps(values))


def main():
    if len(sys.argv) > 1:
        return real(sys.argv[1])
    cases = [json.dumps(measure(activation)) for activation in ("gelu", "gelu_new")]
    path = pathlib.Path(__file__).with_name("encoder.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
