"""What the official evaluation script of SQuAD v1.1 says of some answers, for
tests/data/codec/answer_words_test.cpp.

Run: python tests/goldens/answers.py  (writes answers.json beside this file)

The measure is written out a second time, as the script defines it: lower case, without
string.punctuation, without the articles between word boundaries, cut at white space; exact match and
F1, the best over the right answers. With an argument, the path of the official script
(evaluate-v1.1.py), its functions are used in place of these and must give the same.
"""
import collections
import importlib.util
import json
import pathlib
import re
import string
import sys

PAIRS = [
    ("Denver Broncos", ["Denver Broncos", "The Denver Broncos"]), ("the broncos", ["Denver Broncos"]),
    ("a U.S. team", ["US team!", "team U S"]), ("an apple a day", ["apple day", "days"]), ("", ["a"]), ("the", [""]),
    ("10,000 dollars", ["$10000 dollars"]), ("to be or not to be", ["be to be", "to to to"]), ("x", ["y", "z"]),
    ("ÉCOLE Normale", ["école normale"]), ("the–end", ["–end", "the end"]), ("“the” end", ["“ ” end"]),
    ("a\u00a0b\u2003c\td", ["b c d", "a b c d"]), ("caf\u00e9", ["cafe\u0301"]), ("İstanbul", ["i̇stanbul"]),
    ("naïve the_end", ["naïve theend"]), ("中文 the 字", ["中文 字"]), ("x\u001cy", ["x y"]),
    ("a", ["an", "the"]), ("thea an2 a2", ["thea an2 a2"]), ("a\u0301", ["\u0301"]), ("½ a ²", ["½ ²"]),
]


def normalize(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def f1(given, right):
    given, right = normalize(given).split(), normalize(right).split()
    same = sum((collections.Counter(given) & collections.Counter(right)).values())
    if same == 0:
        return 0
    precision, recall = same / len(given), same / len(right)
    return 2 * precision * recall / (precision + recall)


def main():
    exact, measure = lambda given, right: normalize(given) == normalize(right), f1
    cases = [{"given": given, "right": right, "words": normalize(given).split(),
              "exact": float(max(exact(given, each) for each in right)),
              "f1": float(max(measure(given, each) for each in right))} for given, right in PAIRS]
    if len(sys.argv) > 1:
        spec = importlib.util.spec_from_file_location("official", sys.argv[1])
        official = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(official)
        for case in cases:
            best = [official.metric_max_over_ground_truths(score, case["given"], case["right"])
                    for score in (official.exact_match_score, official.f1_score)]
            assert [float(value) for value in best] == [case["exact"], case["f1"]], case
        print(f"the same as {sys.argv[1]} on {len(cases)} answers")
    path = pathlib.Path(__file__).with_name("answers.json")
    path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
