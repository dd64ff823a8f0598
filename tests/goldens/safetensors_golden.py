"""Writes python.safetensors, which the C++ reader's test reads.

usage: python tests/goldens/safetensors_golden.py   (needs torch and safetensors)
"""

import pathlib

import torch
from safetensors.torch import save_file

values = (torch.arange(-3, 3) / 4).reshape(2, 3)
save_file(
    {
        "bf16": values.to(torch.bfloat16),
        "f16": values.to(torch.float16),
        "f32": values.to(torch.float32),
        "f64": values.to(torch.float64),
        "i64": torch.tensor(1234567890123),
    },
    pathlib.Path(__file__).with_name("python.safetensors"),
    metadata={"writer": "python"},
)
