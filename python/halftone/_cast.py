"""cast(): puts a policy's storage formats on a model."""

import re

import torch

_DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_POLICIES = {torch.float32: "fp32", torch.float16: "fp16-master", torch.bfloat16: "bf16-master"}


def _is_normalization(module):
    """BatchNorm2d, LayerNorm, RMSNorm, …: torch's, a class derived from one, or one called so."""
    return any(re.search(r"Norm([123]d)?$", each.__name__) for each in type(module).__mro__)


def _set_dtype(tensor, dtype):
    tensor.data = tensor.data.to(dtype)
    if tensor.grad is not None:
        tensor.grad = tensor.grad.detach().to(dtype)


def cast(model, policy="bf16-master"):
    """Stores the model's weights as `policy` says, in place, and returns the model.

    Weights become half; those of normalisations, and all floating-point buffers, are fp32. policy:
    "bf16-master", "fp16-master", "fp32", a torch.dtype, or the path of a policy file (.toml), whose
    exceptions by module name apply. The parameters stay the same objects, so that an optimizer may
    have been made before; halftone.optim keeps fp32 masters of half weights. Run the model inside
    torch.autocast of the same format, or feed it inputs of that format.

    Raises ValueError for a policy whose weights are not stored so.
    """
    policy = str(_POLICIES.get(policy, policy))
    names = [name for name, _ in model.named_parameters()]
    try:
        weights, formats = torch.ops.halftone.storage_formats(policy, names)
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if weights == "fp32" and not policy.endswith(".toml") and policy not in ("fp32", "O0"):
        raise ValueError(f'policy "{policy}" keeps fp32 weights, which torch.autocast casts as it runs; '
                         f'expected "{policy}-master" for half weights')
    if weights not in ("fp32", "half-master"):
        raise ValueError(f'policy "{policy}" stores weights as {weights}; expected fp32 or half-master: '
                         "halftone.optim keeps fp32 masters")
    normalizations = {id(parameter) for module in model.modules() if _is_normalization(module)
                      for parameter in module.parameters(recurse=False)}
    with torch.no_grad():
        for (name, parameter), chosen in zip(model.named_parameters(), formats):
            if parameter.is_floating_point():
                _set_dtype(parameter, torch.float32 if id(parameter) in normalizations else _DTYPES[chosen])
        for buffer in model.buffers():
            if buffer.is_floating_point():
                _set_dtype(buffer, torch.float32)
    return model
