"""torch.optim's SGD and AdamW with Halftone's fused pass and fp32 masters of half weights.

Their options, parameter groups and state dictionaries are torch.optim's, both ways; moments are fp32
whatever the weights' format, and a half weight's fp32 master lies in its state as "master".
torch.amp.GradScaler hands them the scaled gradients (fp16 ones, too): they are unscaled in the same
pass, and a step with a gradient that is not finite changes nothing.
"""

import torch

__all__ = ["SGD", "AdamW"]

_HALF = (torch.float16, torch.bfloat16)
_SLOTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer", "master")


def _wide(tensor, like):
    """fp32, or fp64 for fp64 parameters, in the parameter's memory layout."""
    dtype = torch.float64 if like.dtype is torch.float64 else torch.float32
    return torch.empty_like(like, dtype=dtype).copy_(tensor)


class _Fused:
    """What both optimizers share; each derives from it and from torch.optim's of the same name."""

    _step_supports_amp_scaling = True  # GradScaler then sets grad_scale and found_inf for step()

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        for option in ("capturable", "differentiable"):
            if self.defaults.get(option):
                raise ValueError(f"halftone.optim.{type(self).__name__}: {option}=True; expected False")
        self._versions = {}  # of half parameters, after the last step

    def __setstate__(self, state):  # a copy, an unpickled one, a loaded state
        super().__setstate__(state)
        self._versions = {}

    @torch.no_grad()
    def step(self, closure=None):
        """Takes a step; the closure, if any, recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if (found := getattr(self, "found_inf", None)) is not None and found.item():
            return loss
        scale = getattr(self, "grad_scale", None)
        scale = 1.0 if scale is None else 1.0 / scale.item()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._update(group, weights, -scale if group["maximize"] else scale)
                self._versions.update((p, p._version) for p in weights if p.dtype in _HALF)
        return loss

    def _masters(self, weights):
        """The half weights' masters, with the weight itself where it needs none."""
        return [self._master(p) if p.dtype in _HALF else p for p in weights]

    def _master(self, parameter):
        state = self.state[parameter]
        if "master" not in state:
            state["master"] = _wide(parameter, parameter)
        elif self._versions.get(parameter) != parameter._version:
            # Someone else wrote the weight: its elements that are not the rounded master's count.
            master = state["master"]
            foreign = master.to(parameter.dtype) != parameter
            master.copy_(torch.where(foreign, parameter.to(master.dtype), master))
        return state["master"]

    def load_state_dict(self, state_dict):
        """Loads torch.optim's or Halftone's; moments and masters keep their precision."""
        seen = []  # after the pre-hooks of others
        hook = self.register_load_state_dict_pre_hook(lambda _, given: seen.append(given))
        try:
            super().load_state_dict(state_dict)
        finally:
            hook.remove()
        given = seen[0]  # torch.optim has rounded the tensors of half parameters to their format
        indices = [index for group in given["param_groups"] for index in group["params"]]
        parameters = [p for group in self.param_groups for p in group["params"]]
        for index, parameter in zip(indices, parameters):
            for name, value in given["state"].get(index, {}).items():
                if name in _SLOTS and torch.is_tensor(value):
                    self.state[parameter][name] = _wide(value, parameter)


class SGD(_Fused, torch.optim.SGD):
    """torch.optim.SGD; foreach and fused are accepted and mean nothing."""

    def _update(self, group, weights, scale):
        momentum = group["momentum"]
        steps, buffers = [1] * len(weights), []  # 1: there is no buffer yet
        if momentum:
            for i, p in enumerate(weights):
                state = self.state[p]
                if state.get("momentum_buffer") is None:
                    state["momentum_buffer"] = _wide(torch.zeros(()), p)
                else:
                    steps[i] = 2
                buffers.append(state["momentum_buffer"])
        torch.ops.halftone.sgd_update_(
            weights, [p.grad for p in weights], buffers, self._masters(weights), [], steps,
            lr=float(group["lr"]), momentum=momentum, dampening=group["dampening"],
            weight_decay=float(group["weight_decay"]), nesterov=group["nesterov"], gradient_scale=scale)


class AdamW(_Fused, torch.optim.AdamW):
    """torch.optim.AdamW; foreach and fused are accepted and mean nothing."""

    def _update(self, group, weights, scale):
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * group["amsgrad"]
        for p in weights:
            state = self.state[p]
            if "step" not in state:
                state["step"] = torch.zeros(())
            for name in names:
                if name not in state:
                    state[name] = _wide(torch.zeros(()), p)
            state["step"] += 1
        slots = [[self.state[p][name] for p in weights] for name in names]
        beta1, beta2 = map(float, group["betas"])
        torch.ops.halftone.adam_update_(
            weights, [p.grad for p in weights], slots[0], slots[1], slots[2] if len(slots) > 2 else [],
            self._masters(weights), [], [int(self.state[p]["step"]) for p in weights],
            lr=float(group["lr"]), beta1=beta1, beta2=beta2, eps=group["eps"],
            weight_decay=float(group["weight_decay"]), gradient_scale=scale)
