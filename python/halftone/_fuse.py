"""fuse(): normalisations in one pass with what follows, and layers that keep less for backward."""

import operator
import warnings

import torch
from torch import fx, nn
from torch.nn import functional as F

_RELU_FUNCTIONS = {F.relu, F.relu_, torch.relu, torch.relu_}
_ADD_FUNCTIONS = {operator.add, operator.iadd, torch.add}
_LEAN_LAYERS = (nn.Conv2d, nn.Linear, nn.MaxPool2d)
_LEAN_FUNCTIONS = {F.conv2d, torch.conv2d, F.linear, F.max_pool2d, torch.max_pool2d}
_REPORT = "_halftone_fusion"


def _has_hooks(module):
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
                or module._backward_pre_hooks)


def batch_norm_relu(norm, x, residual=None):
    """relu(norm(x) + residual) for an nn.BatchNorm2d; called by rewritten forward methods."""
    if _has_hooks(norm) or not isinstance(residual, (torch.Tensor, type(None))):
        y = norm(x)
        return F.relu(y if residual is None else y + residual)
    norm._check_input_dim(x)
    momentum = 0.0 if norm.momentum is None else norm.momentum
    if norm.training and norm.track_running_stats and norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
        if norm.momentum is None:
            momentum = 1.0 / float(norm.num_batches_tracked)
    by_batch = norm.training or (norm.running_mean is None and norm.running_var is None)
    tracked = not norm.training or norm.track_running_stats
    return torch.ops.halftone.batch_norm_relu(
        x, residual, norm.weight, norm.bias, norm.running_mean if tracked else None,
        norm.running_var if tracked else None, by_batch, momentum, norm.eps)


def keep_less(output, x):
    """The output of an operation on x, whose node keeps how to compute x again where it can."""
    if isinstance(output, torch.Tensor) and output.requires_grad and not torch.compiler.is_compiling():
        torch.ops.halftone.recompute_input(output, x)
    return output


def _keep_less_hook(module, inputs, output):
    if inputs:
        keep_less(output, inputs[0])


class _Tracer(fx.Tracer):
    """Traces one module's own forward: whatever module that calls stays a call."""

    def is_leaf_module(self, module, qualified_name):
        return True


class _Rewrite:
    """One module's forward in one mode, rewritten."""

    def __init__(self, module):
        self.module = module
        self.graph = _Tracer().trace(module)
        self.fused, self.seen = {}, set()  # names of normalisations: what is fused; all that are called
        for node in list(self.graph.nodes):
            if norm := self._norm(node):
                self.seen.add(norm)
            if self._is_relu(node):
                self._fuse_relu(node)
        if self.fused:
            self._keep_less()

    def function(self):
        code = self.graph.python_code("self")
        namespace = dict(code.globals)
        exec(compile(code.src, f"<halftone.fuse: {type(self.module).__qualname__}>", "exec"), namespace)
        return namespace["forward"]

    def _submodule(self, node):
        return self.module.get_submodule(node.target) if node.op == "call_module" else None

    def _norm(self, node):
        """The name of the normalisation that a node calls with one tensor, or None."""
        if isinstance(node, fx.Node) and type(self._submodule(node)) is nn.BatchNorm2d:
            return node.target if len(node.args) == 1 and not node.kwargs else None
        return None

    def _is_relu(self, node):
        if node.op == "call_module":
            module = self._submodule(node)
            return type(module) is nn.ReLU and not _has_hooks(module)
        if node.op == "call_function":
            return node.target in _RELU_FUNCTIONS
        return node.op == "call_method" and node.target in ("relu", "relu_")

    @staticmethod
    def _addends(node):
        """The two tensors that a node adds, or nothing."""
        adds = (node.op == "call_function" and node.target in _ADD_FUNCTIONS
                or node.op == "call_method" and node.target in ("add", "add_"))
        if not adds or len(node.args) != 2 or node.kwargs:
            return ()
        return node.args if all(isinstance(each, fx.Node) for each in node.args) else ()

    def _fuse_relu(self, relu):
        before = relu.args[0] if relu.args else None
        if not isinstance(before, fx.Node) or len(before.users) != 1:
            return
        if self._norm(before):
            return self._replace(relu, [before], before, None)
        addends = self._addends(before)
        for norm, residual in (addends, addends[::-1]) if addends else ():
            if self._norm(norm) and norm is not residual and len(norm.users) == 1:
                if self._written_between(norm, relu):
                    return
                return self._replace(relu, [before, norm], norm, residual)

    def _written_between(self, norm, relu):
        """Whether something writes to the normalisation's input before the fused pass reads it."""
        node = norm.next
        while node is not relu:
            if norm.args[0] in node.all_input_nodes and (
                    node.op == "call_method" and node.target.endswith("_")
                    or node.op == "call_function" and getattr(node.target, "__name__", "").startswith("i")
                    or node.kwargs.get("inplace") or getattr(self._submodule(node), "inplace", False)):
                return True
            node = node.next
        return False

    def _replace(self, relu, replaced, norm, residual):
        with self.graph.inserting_before(relu):
            module = self.graph.get_attr(norm.target)
            fused = self.graph.call_function(batch_norm_relu, (module, norm.args[0], residual))
        relu.replace_all_uses_with(fused)
        for node in (relu, *replaced):
            self.graph.erase_node(node)
        self.fused[norm.target] = "BatchNorm2d + ReLU" if residual is None else "BatchNorm2d + add + ReLU"

    def _keep_less(self):
        """For functions what the hook does for modules."""
        for node in list(self.graph.nodes):
            if node.op == "call_function" and node.target in _LEAN_FUNCTIONS and node.args:
                with self.graph.inserting_after(node):
                    self.graph.call_function(keep_less, (node, node.args[0]))


class FusedForward:
    """Stands in for a module's forward. A copy, or an unpickled one, traces its own module again."""

    def __init__(self, module):
        self.module = module
        self.rewrites = {}  # by the module's mode

    def __getstate__(self):
        return {"module": self.module}

    def __setstate__(self, state):
        self.__init__(state["module"])

    def rewrite(self, training):
        """Traced as if the module, but not its children, were in that mode."""
        mode = self.module.training
        self.module.training = training
        try:
            return _Rewrite(self.module)
        finally:
            self.module.training = mode

    def __call__(self, *args, **kwargs):
        training = self.module.training
        if torch.compiler.is_compiling():  # the compiler fuses by itself
            return type(self.module).forward(self.module, *args, **kwargs)
        if training not in self.rewrites:
            self.rewrites[training] = self.rewrite(training).function()
        return self.rewrites[training](self.module, *args, **kwargs)


def _norms_inside(module):
    """Those that this module's own forward may call: not those of a module in between."""
    return {name for name, child in module.named_children() if type(child) is nn.BatchNorm2d}


def _fuse_forward(module, prefix, report):
    if not _norms_inside(module) and not any(isinstance(each, (nn.ModuleList, nn.ModuleDict))
                                             for each in module.children()):
        return
    if isinstance(module.__dict__.get("forward"), FusedForward):
        return
    forward = FusedForward(module)
    why, rewrites = "forward was replaced on the object", []
    if "forward" not in module.__dict__:
        try:
            rewrites = [forward.rewrite(training) for training in (True, False)]
            why = "no ReLU of its own follows it"
        except Exception as error:  # whatever the forward does when it is called with proxies
            why = f"torch.fx cannot trace {type(module).__qualname__}: {str(error).strip().splitlines()[0]}"
    fused = {name: text for each in rewrites for name, text in each.fused.items()}
    if fused:
        module.forward = forward
        forward.rewrites = {training: each.function() for training, each in zip((True, False), rewrites)}
    norms = _norms_inside(module).union(*(each.seen for each in rewrites))
    report["fused"].update({prefix + name: text for name, text in fused.items()})
    report["left_alone"].update({prefix + name: f"BatchNorm2d: {why}" for name in norms - set(fused)})


def fuse(model):
    """Makes the model run and keep less in half precision, in place, and returns the model.

    - nn.BatchNorm2d followed by ReLU, or by an addition and ReLU, runs as one pass forward and one
      backward, where torch.fx can trace the forward method that calls them (module by module: each is
      traced alone, with the modules that it calls as black boxes).
    - nn.Conv2d, nn.Linear and nn.MaxPool2d that take the result of such a normalisation or of GELU
      keep nothing of it: backward computes it again, in one pass over memory, from what the operation
      before keeps anyway.

    Names, state_dict() and the parameters' objects stay, so that an optimizer or halftone.cast may come
    before or after; training and evaluation, autocast, copy.deepcopy and pickle work as before. fp32
    results keep their bits. Nothing changes under torch.compile, which fuses by itself.

    A rewritten forward is a function of its arguments and of `training`: other attributes, and what
    else decides in Python code, are as they were when fuse() was called. fusion_report(model) says
    what was fused and what was left alone and why; a model in which nothing could be fused gives a
    UserWarning. Call it while no other thread runs the model.
    """
    report = {"fused": {}, "left_alone": {}}
    for name, module in model.named_modules():
        prefix = name + "." if name else ""
        if not isinstance(module, (nn.ModuleList, nn.ModuleDict, fx.GraphModule, torch.jit.ScriptModule)):
            _fuse_forward(module, prefix, report)
        if type(module) in _LEAN_LAYERS and _keep_less_hook not in module._forward_hooks.values():
            module.register_forward_hook(_keep_less_hook)
            report["fused"][name] = f"{type(module).__name__}: input computed again where it can be"
    for name in report["fused"]:
        report["left_alone"].pop(name, None)
    earlier = model.__dict__.get(_REPORT)
    if earlier is not None:  # fused before: what is new
        report = {"fused": {**earlier["fused"], **report["fused"]}, "left_alone": report["left_alone"]}
    if not report["fused"]:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(report["left_alone"].items())[:3])
        warnings.warn("halftone.fuse: nothing could be fused" + (f" ({reasons})" if reasons else ""),
                      stacklevel=2)
    model.__dict__[_REPORT] = report
    return model


def fusion_report(model):
    """{"fused": {name: what it is now}, "left_alone": {name: why}} of a model that fuse() returned."""
    report = getattr(model, _REPORT, None)
    if report is None:
        raise ValueError("fusion_report: halftone.fuse was not called on this model")
    return {key: dict(value) for key, value in report.items()}
