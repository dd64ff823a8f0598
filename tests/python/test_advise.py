"""`halftone advise` as a person meets it: what it prints and writes, and bad input."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from fashion_mnist import FashionMnistCommands  # noqa: E402


class Advise(FashionMnistCommands, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.policy = cls.folder / "advised.toml"
        cls.advised = cls.start(*cls.arguments("--out", cls.policy, "--json"))

    @classmethod
    def arguments(cls, *more):
        return ("advise", "fashion-mnist", "--data", cls.data, "--model", "mlp", "--batch", "64",
                *more)

    def test_measures_every_operation_and_writes_a_policy_with_reasons(self):
        self.assertEqual(self.advised.returncode, 0, self.advised.stderr)
        result = json.loads(self.advised.stdout)
        self.assertEqual([each["name"] for each in result["operations"]],
                         ["fc1.weight", "fc2.weight", "fc3.weight"])
        self.assertEqual(result["operations"][0]["input"], [64, 784])
        self.assertEqual(result["policies"][0]["name"], "fp32")
        self.assertIn(result["advised"], [each["name"] for each in result["policies"]])
        text = self.policy.read_text()
        self.assertEqual(text, result["policy"])
        for line in text.splitlines():
            if "=" in line:
                self.assertIn("  # ", line)

    def test_train_takes_the_policy(self):
        done = self.start("train", "fashion-mnist", "--data", self.data, "--model", "mlp", "--batch",
                          "64", "--steps", "4", "--policy", self.policy, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["precision"],
                         json.loads(self.advised.stdout)["advised"])

    def auto(self, *more):
        return self.start("train", "fashion-mnist", "--data", self.data, "--steps", "4", "--json",
                          *more)

    def require_kept_advice(self):
        if "not kept for --precision auto" in self.advised.stderr:
            self.skipTest("other programs are running: " + self.advised.stderr.splitlines()[-1])

    def test_auto_takes_the_advice_for_the_same_network_and_batch_alone(self):
        self.require_kept_advice()
        advised = json.loads(self.advised.stdout)["advised"]
        done = self.auto("--model", "mlp", "--batch", "64")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"precision {advised}, as halftone advise found here: ", done.stderr)
        self.assertNotIn("measuring", done.stderr)
        self.assertEqual(json.loads(done.stdout)["precision"], advised)
        for other in (("--model", "mlp", "--batch", "32"), ("--model", "cnn", "--batch", "64")):
            done = self.auto(*other)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stderr, "precision (fp32|bf16|fp16), measured per step: ")

    def test_auto_leaves_a_torn_advice_aside_with_a_word(self):
        self.require_kept_advice()
        entry, = (self.folder / "halftone/advice").iterdir()
        whole = entry.read_text()
        try:
            entry.write_text(whole[:len(whole) // 2])
            done = self.auto("--model", "mlp", "--batch", "64")
        finally:
            entry.write_text(whole)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, f"warning: advice in {entry} is left aside: .*\n")
        self.assertIn("measured per step: ", done.stderr)

    # Bad input.

    def test_unknown_names_are_usage_errors_with_the_nearest(self):
        out = self.folder / "unknown.toml"
        for option, value, text in (
                ("--formats", "bf15", 'expected bf16 or fp16 (did you mean "bf16"?)'),
                ("--keep", "fc4", 'expected conv1, conv2, fc1 or fc2 (did you mean "fc1"?)'),
                ("--formats", "bf16,fp61", 'did you mean "fp16"?'), ("--model", "mlq", 'did you mean "mlp"'), ("--max-error", "0", "above 0"),
                ("--batches", "1", "at least 2"), ("--precision", "bf16", "--precision"),
                ("--batch", "1281", "at most the 1280 training images")):
            with self.subTest(f"{option} {value}"):
                self.expect_error(2, text, "advise", "fashion-mnist", "--data", self.data,
                                  "--out", out, option, value)
        self.assertFalse(out.exists())

    def test_options_of_several_values_leave_the_task_alone(self):
        out = self.folder / "kept.toml"
        done = self.start("advise", "--keep", "fc1,fc3", "--formats", "bf16", "fashion-mnist", "--data",
                          self.data, "--model", "mlp", "--batch", "64", "--out", out, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual([each["advice"] for each in result["operations"]][::2], ["fp32", "fp32"])
        self.assertFalse([each for each in result["policies"] if "fp16" in each["name"]])

    def test_missing_data_are_named(self):
        self.expect_error(1, "nowhere", "advise", "fashion-mnist", "--data",
                          self.folder / "nowhere", "--out", self.folder / "x.toml")

    def test_a_file_that_is_there_stays_and_one_that_cannot_be_written_is_an_error(self):
        mine = self.folder / "mine.toml"
        mine.write_text('preset = "bf16"\n')
        self.expect_error(2, "mine.toml: a file is there already; expected another --out, or "
                          "--overwrite", *self.arguments("--out", mine))
        self.assertEqual(mine.read_text(), 'preset = "bf16"\n')
        self.expect_error(2, "a directory; expected a file", *self.arguments("--out", self.folder))
        self.expect_error(1, "absent/policy.toml", *self.arguments(
            "--out", self.folder / "absent/policy.toml"))


if __name__ == "__main__":
    unittest.main()
