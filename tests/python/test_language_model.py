"""A language model through the commands that know no task by name."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from commands import BIN, Commands  # noqa: E402


class LanguageModel(Commands, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.play = cls.folder / "play.txt"
        cls.play.write_text("".join(
            f"{'KATE' if i % 2 else 'TOM'}:\nThe rain is over, my friend.\n\n" for i in range(200)))
        cls.run_dir = cls.folder / "run"
        cls.trained = cls.start(*cls.train_arguments("--steps", "30", "--precision", "bf16", "--json",
                                                     "--out", cls.run_dir))

    @classmethod
    def train_arguments(cls, *more):
        return ("train", "shakespeare", "--data", cls.play, "--model", "gpt-small", "--batch", "8",
                *more)

    def test_train_shows_and_reports_the_tasks_own_metric(self):
        self.assertEqual(self.trained.returncode, 0, self.trained.stderr)
        result = json.loads(self.trained.stdout)
        self.assertLess(result["final_cross_entropy"], 2.5)
        self.assertIn("nats/character", self.trained.stderr)
        lines = (self.run_dir / "metrics.jsonl").read_text().splitlines()
        self.assertEqual(json.loads(lines[-1])["perplexity"], result["final_perplexity"])

    def test_eval_gives_what_training_gave_last(self):
        done = self.start("eval", "--run", self.run_dir, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertAlmostEqual(json.loads(done.stdout)["cross_entropy"],
                               json.loads(self.trained.stdout)["final_cross_entropy"], places=4)

    def test_predict_continues_a_text_the_same_by_seed(self):
        def predict(*more):
            done = self.start("predict", "TOM:\n", "--run", self.run_dir, "--length", "50", *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        first = predict("--seed", "1")
        self.assertTrue(first.startswith("TOM:\n"))
        self.assertEqual(len(first), len("TOM:\n") + 50 + 1)
        self.assertEqual(predict("--seed", "1"), first)
        self.assertNotEqual(predict("--seed", "2", "--temperature", "1.5"), first)
        entry = json.loads(predict("--seed", "1", "--json"))[0]
        self.assertEqual(entry["text"] + entry["continuation"] + "\n", first)

    def test_compare_goes_by_the_tasks_metric(self):
        out = self.folder / "compared"
        done = self.start("compare", "shakespeare", "--data", self.play, "--model", "gpt-small",
                          "--batch", "8", "--steps", "12", "--precision", "bf16", "--out", out,
                          "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((result["metric"], result["higher_is_better"]), ("cross_entropy", False))
        for arm in result["arms"]:
            self.assertLessEqual(arm["best_cross_entropy"], arm["final_cross_entropy"])
            self.assertGreater(arm["peak_tensor_bytes"], 0)
        self.assertEqual((out / "cross_entropy.png").read_bytes()[:4], b"\x89PNG")
        self.assertIn("nats/character", (out / "report.html").read_text())

    def test_interrupted_run_resumes_to_the_same_weights(self):
        length = ("--steps", "60", "--precision", "fp16", "--checkpoint-every", "5")
        whole, stopped = self.folder / "whole", self.folder / "stopped"
        done = self.start(*self.train_arguments(*length, "--out", whole))
        self.assertEqual(done.returncode, 0, done.stderr)
        process = subprocess.Popen([BIN, *map(str, self.train_arguments(*length, "--out", stopped))],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={"OMP_NUM_THREADS": "1", **os.environ})
        while not list(stopped.glob("checkpoints/step-*.pt")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), 130)
        done = self.start(*self.train_arguments("--resume", "--out", stopped))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((stopped / "weights.safetensors").read_bytes(),
                         (whole / "weights.safetensors").read_bytes())

    def test_recomputed_run_is_the_same_bit_for_bit(self):
        weights = []
        for more in ((), ("--recompute",)):
            out = self.folder / f"recomputed{len(more)}"
            done = self.start(*self.train_arguments("--steps", "4", "--accumulate", "2",
                                                    "--precision", "fp16", "--out", out, *more))
            self.assertEqual(done.returncode, 0, done.stderr)
            weights.append((out / "weights.safetensors").read_bytes())
            self.assertIn(f"recompute = {'true' if more else 'false'}",
                          (out / "config.toml").read_text())
        self.assertEqual(*weights)
        self.expect_error(2, "--accumulate: 3; expected 2 as in the run to resume",
                          *self.train_arguments("--resume", "--out", out, "--accumulate", "3"))
        for command in ("train", "compare"):
            shown = self.start(command, "--help").stdout
            self.assertIn("--recompute", shown)
            self.assertIn("--accumulate", shown)

    # Bad input.

    def test_texts_that_are_none_are_named(self):
        for name, content, text in (("latin1.txt", b"caf\xe9", "byte 0xE9 at offset 3"),
                                    ("empty.txt", b"", "an empty text"),
                                    ("short.txt", b"To be, or not to be", "a text of 17 tokens")):
            with self.subTest(name):
                (self.folder / name).write_bytes(content)
                self.expect_error(1, f"{name}: {text}", "train", "shakespeare", "--precision", "fp32",
                                  "--data", self.folder / name)
        self.expect_error(1, "absent.txt", "train", "shakespeare", "--data",
                          self.folder / "absent.txt")
        self.expect_error(1, "input.txt", "train", "shakespeare", "--data", self.folder)
        self.expect_error(1, "karpathy", "train", "shakespeare")

    def test_options_and_prompts_that_make_no_sense_are_usage_errors(self):
        self.expect_error(2, "gpt-small", "train", "shakespeare", "--data", self.play, "--model",
                          "gpt-smal")
        self.expect_error(2, "training sequences", "train", "shakespeare", "--data", self.play,
                          "--batch", "5000", "--precision", "fp32")
        self.expect_error(2, "above 0", "predict", "TOM", "--run", self.run_dir, "--temperature", "0")
        self.expect_error(2, "an empty text", "predict", "", "--run", self.run_dir)
        self.expect_error(2, "does not have", "predict", "TOM #1", "--run", self.run_dir)

    def test_run_without_its_vocabulary_says_so(self):
        broken = self.folder / "broken"
        broken.mkdir()
        for name in ("config.toml", "weights.safetensors"):
            (broken / name).write_bytes((self.run_dir / name).read_bytes())
        self.expect_error(1, "vocabulary.json", "predict", "TOM", "--run", broken)


if __name__ == "__main__":
    unittest.main()
