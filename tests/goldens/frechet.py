"""Frechet distances by numpy and scipy, for tests/metrics/frechet_test.cpp.

Run: python tests/goldens/frechet.py  (writes frechet.json beside this file)
Needs: pip install numpy scipy

Features are made of integers by a rule that the test repeats: x[n, d] = ((a n + b d d + c n d)
% 101) / 50 - 1, scaled by 1 + d / 4.
"""
import json
import pathlib

import numpy
import scipy.linalg

# N, D and the rules of both sets; in the last case the covariances are singular (N < D).
CASES = [(200, 5, (17, 5, 3), (29, 7, 11)), (64, 12, (17, 5, 3), (17, 5, 3)),
         (300, 16, (37, 3, 7), (41, 13, 5)), (9, 12, (17, 5, 3), (29, 7, 11))]


def features(count, size, rule):
    n, d = numpy.arange(count)[:, None], numpy.arange(size)[None]
    a, b, c = rule
    return (((a * n + b * d * d + c * n * d) % 101) / 50 - 1) * (1 + d / 4)


def distance(x, y):
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum()
    cx, cy = numpy.cov(x, rowvar=False), numpy.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cx @ cy)
    return mean + numpy.trace(cx) + numpy.trace(cy) - 2 * numpy.trace(root).real


def main():
    golden = []
    for count, size, first, second in CASES:
        x, y = features(count, size, first), features(count, size, second)
        golden.append({"count": count, "size": size, "first": first, "second": second,
                       "distance": float(distance(x, y))})
    path = pathlib.Path(__file__).with_name("frechet.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
