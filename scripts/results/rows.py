"""What docs/results.md is made of: tasks, networks, arms, bars. A new task is a new row here."""

import dataclasses
from typing import Callable, Optional

MIXED = ("bf16", "fp16")
SEEDS = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Row:
    """One network on one task, trained in each arm with each seed.

    Within seed noise means: the means over the seeds differ by at most 2.3 pooled standard
    deviations or the floor, whichever is more, and the deviation is at most the cap."""

    name: str
    task: str
    model: str
    metric: str               # of `halftone eval --json`
    bar: Callable[[float], float]  # from the untrained network's metric (nan where not measured)
    floor: float              # differences below it count as none
    cap: float                # of the pooled standard deviation
    higher: bool = True
    share: bool = False       # shown in per cent
    bar_text: str = ""
    also: tuple = ()          # further metrics, shown without a bar
    arms: tuple = ("fp32", *MIXED)
    options: tuple = ()       # of `halftone train`
    data: str = ""            # its name below --data; "": the user's cache, or none is needed
    pretrained: bool = False  # starts from the weights of --pretrained
    chosen: bool = False      # a validation set chooses among evaluations, the test set judges
    untrained: bool = False   # the bar depends on the untrained network's metric
    quick: bool = False       # part of --quick
    batch: Optional[int] = None  # of evaluations

    def at_bar(self, value, untrained):
        bar = self.bar(untrained)
        return value >= bar if self.higher else value <= bar


def at(value):
    return lambda _: value


ROWS = (
    # fp8-sim has fp8's numbers, not its speed.
    Row("fashion-mnist", "fashion-mnist", "cnn", "accuracy", at(0.90), 0.003, 0.005, share=True,
        quick=True, arms=("fp32", *MIXED, "fp8-sim")),
    Row("cifar10-fast", "cifar10", "fast", "accuracy", at(0.94), 0.002, 0.003, share=True,
        data="cifar10", arms=("fp32", "bf16-master")),
    # Of the kernels' accuracy: as many steps as show a difference, few enough for three seeds; fp32
    # reaches 78.9 %.
    Row("cifar10-narrow", "cifar10", "resnet9-narrow", "accuracy", at(0.78), 0.005, 0.01,
        share=True, data="cifar10", arms=("fp32", "bf16-master", "fp16-master", "fp8-sim"),
        options=("--steps", "1500")),
    Row("camvid", "camvid", "unet", "mean_iou", at(0.50), 0.01, 0.02, share=True,
        also=("pixel_accuracy",), data="camvid", chosen=True, arms=("fp32", "bf16")),
    Row("bccd", "bccd", "fcos", "map_50", at(0.75), 0.01, 0.02, share=True,
        also=("map", "voc_map"), data="bccd", chosen=True, arms=("fp32", "bf16")),
    Row("multi30k", "multi30k", "transformer", "bleu", at(34), 0.4, 0.6, data="multi30k",
        chosen=True, arms=("fp32", "bf16")),
    Row("squad", "squad", "encoder", "f1", lambda untrained: untrained + 0.25, 0.01, 0.02,
        share=True, bar_text="25 points above the untrained head", also=("exact_match",),
        data="squad", pretrained=True, untrained=True),
    Row("sst2-textcnn", "sst2", "textcnn", "accuracy", at(0.80), 0.005, 0.01, share=True,
        also=("f1", "roc_auc", "pr_auc"), data="sst2", chosen=True, quick=True),
    Row("sst2-encoder", "sst2", "encoder", "accuracy", at(0.90), 0.005, 0.01, share=True,
        also=("f1", "roc_auc", "pr_auc"), data="sst2", pretrained=True, chosen=True),
    Row("shakespeare", "shakespeare", "gpt", "cross_entropy", at(1.60), 0.01, 0.02, higher=False,
        data="tinyshakespeare.txt"),
    Row("shakespeare-bpe", "shakespeare-bpe", "gpt", "cross_entropy", at(1.60), 0.01, 0.02,
        higher=False, data="tinyshakespeare.txt"),
    # No operation of it is one that autocast runs in half: half is what the tables hold.
    Row("movielens-mf", "movielens", "mf", "rmse", at(0.955), 0.002, 0.004, higher=False,
        also=("mae",), data="ml-100k", quick=True, arms=("fp32", "bf16-master", "fp16-master")),
    Row("movielens-neumf", "movielens", "neumf", "hr_at_10", at(0.60), 0.01, 0.02, share=True,
        also=("ndcg_at_10",), data="ml-100k"),
    Row("fashion-gan-hinge", "fashion-gan", "dcgan-hinge", "frechet_distance",
        lambda untrained: untrained / 5, 2, 4, higher=False, untrained=True,
        bar_text="a fifth of the untrained generator's", arms=("fp32", "bf16")),
    Row("fashion-gan-bce", "fashion-gan", "dcgan-bce", "frechet_distance",
        lambda untrained: untrained / 5, 2, 4, higher=False, untrained=True,
        bar_text="a fifth of the untrained generator's", arms=("fp32", "bf16")),
    Row("cartpole-ppo", "cartpole", "ppo", "mean_return", at(475), 15, 20, chosen=True, quick=True),
    Row("cartpole-dqn", "cartpole", "dqn", "mean_return", at(475), 15, 20, chosen=True),
    Row("acrobot-ppo", "acrobot", "ppo", "mean_return", at(-100), 8, 10, chosen=True, quick=True),
    Row("acrobot-dqn", "acrobot", "dqn", "mean_return", at(-100), 8, 10, chosen=True),
)
