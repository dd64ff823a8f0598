"""Learning rates of torch.optim.lr_scheduler, for tests/optim/scheduler_test.cpp.

Run: python tests/goldens/schedulers.py  (writes schedulers.csv beside this file)

Each line: name, parameter group, the rate after 0, 1, 2, ... steps. The groups start at 0.1 and 0.02.
"""
import pathlib

import torch
from torch.optim import lr_scheduler as schedulers

RATES = (0.1, 0.02)
STEPS = 40


def optimizer():
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in RATES]
    return torch.optim.SGD(groups)


def warm_up(opt, after):
    rise = schedulers.LinearLR(opt, start_factor=0.1, total_iters=8)
    return schedulers.SequentialLR(opt, [rise, after(opt)], milestones=[8])


MAKERS = {
    "constant": lambda o: schedulers.LambdaLR(o, lambda step: 1.0),
    "step": lambda o: schedulers.StepLR(o, 7, 0.3),
    "multi_step": lambda o: schedulers.MultiStepLR(o, [5, 12, 12, 30], 0.5),
    "exponential": lambda o: schedulers.ExponentialLR(o, 0.93),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, STEPS),
    "cosine_min": lambda o: schedulers.CosineAnnealingLR(o, STEPS, eta_min=0.05 * RATES[0]),
    "one_cycle": lambda o: schedulers.OneCycleLR(
        o, list(RATES), total_steps=STEPS, cycle_momentum=False),
    "one_cycle_linear": lambda o: schedulers.OneCycleLR(
        o, list(RATES), total_steps=STEPS, pct_start=0.4, anneal_strategy="linear", div_factor=10,
        final_div_factor=100, cycle_momentum=False),
    "warm_up_cosine": lambda o: warm_up(o, lambda o: schedulers.CosineAnnealingLR(o, STEPS - 8)),
    "warm_up_step": lambda o: warm_up(o, lambda o: schedulers.StepLR(o, 7, 0.3)),
}

PLATEAUS = {
    "plateau": lambda o: schedulers.ReduceLROnPlateau(o, "min", factor=0.5, patience=2, eps=0),
    "plateau_max": lambda o: schedulers.ReduceLROnPlateau(
        o, "max", factor=0.25, patience=1, threshold=0.05, threshold_mode="abs", cooldown=2,
        min_lr=[0.01 * rate for rate in RATES], eps=0),
}


def metric(step):
    """Falls, then stays within a band: exact on both sides."""
    return 1.0 + 4.0 / (1 + step) + 0.03125 * (step * 5 % 7)


def run(make, step):
    opt = optimizer()
    scheduler = make(opt)
    rows = [[group["lr"]] for group in opt.param_groups]
    for i in range(STEPS - 1):
        opt.step()
        step(scheduler, i)
        for row, group in zip(rows, opt.param_groups):
            row.append(group["lr"])
    return rows


def main():
    lines = []
    for name, make in MAKERS.items():
        for group, row in enumerate(run(make, lambda s, i: s.step())):
            lines.append([name, str(group)] + [repr(float(x)) for x in row])
    for name, make in PLATEAUS.items():
        for group, row in enumerate(run(make, lambda s, i: s.step(metric(i)))):
            lines.append([name, str(group)] + [repr(float(x)) for x in row])
    path = pathlib.Path(__file__).with_name("schedulers.csv")
    path.write_text("".join(",".join(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
