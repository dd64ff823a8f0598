"""What scikit-learn makes of scores and labels, for tests/metrics/binary_scores_test.cpp.

Run: python tests/goldens/binary_scores.py  (needs scikit-learn; writes binary_scores.json beside it)
"""
import json
import pathlib
import random

from sklearn import metrics

CASES = [  # name, examples, share of positives, distinct scores
    ("few", 12, 0.5, 1000), ("ties", 200, 0.4, 7), ("rare", 300, 0.05, 1000), ("many", 500, 0.6, 100)]


def measure(name, count, share, distinct):
    chance = random.Random(name)
    labels = [int(chance.random() < share) for _ in range(count)]
    labels[:2] = [0, 1]
    scores = [round(min(1, max(0, 0.2 * label + 0.8 * chance.random())) * distinct) / distinct
              for label in labels]
    called = [int(score > 0.5) for score in scores]
    return {"name": name, "scores": scores, "labels": labels,
            "precision": metrics.precision_score(labels, called, zero_division=0),
            "recall": metrics.recall_score(labels, called, zero_division=0),
            "f1": metrics.f1_score(labels, called, zero_division=0),
            "roc_auc": metrics.roc_auc_score(labels, scores),
            "average_precision": metrics.average_precision_score(labels, scores)}


def main():
    cases = [json.dumps(measure(*case)) for case in CASES]
    path = pathlib.Path(__file__).with_name("binary_scores.json")
    path.write_text("[\n" + ",\n".join(cases) + "\n]\n")


if __name__ == "__main__":
    main()
