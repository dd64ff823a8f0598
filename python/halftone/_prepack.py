"""prepack(): weights of a frozen model packed once for the kernels, for inference."""

import torch
from torch import nn

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)


def _layers(model):
    return [(name, layer) for name, layer in model.named_modules() if isinstance(layer, _LAYERS)]


def _pack(layer):
    """Why a layer is left alone, or "" once its weight is packed."""
    if "weight" not in layer._parameters and "weight" not in layer._buffers:
        return "its weight is computed in each pass"  # torch.nn.utils.parametrize, weight_norm
    return torch.ops.halftone.prepack_weight(layer.weight, getattr(layer, "groups", 1))


def prepack(model):
    """Packs the fp16 and bf16 weights of every Linear, Conv1d and Conv2d of a model that doesn't train
    any more, as Halftone's kernels read them, so that no pass does it again. Returns {"packed": {name:
    class}, "left_alone": {name: why}}.

    Results stay the same bits; passes of few rows (small batches) gain. Takes as much memory as the
    weights, twice as much on CPUs without half arithmetic, until a weight's tensor is gone or unpack()
    is called. A pack is not used while its weight requires a gradient or lies elsewhere; after a write
    in place that torch counts (copy_, load_state_dict) the next pass packs again. Writes through .data
    are not seen: call prepack() again.

    Raises ValueError, and packs nothing, where a weight requires a gradient:
    model.requires_grad_(False) first.
    """
    layers = _layers(model)
    for name, layer in layers:
        if layer.weight.requires_grad:
            raise ValueError(f"prepack: {f'{name}.' if name else ''}weight requires a gradient; expected "
                             "frozen weights (model.requires_grad_(False))")
    report = {"packed": {}, "left_alone": {}}
    for name, layer in layers:
        why = _pack(layer)
        report["left_alone" if why else "packed"][name] = why or type(layer).__name__
    return report


def unpack(model):
    """Forgets and frees the packs of a model's weights."""
    for _, layer in _layers(model):
        torch.ops.halftone.unpack_weight(layer.weight)
