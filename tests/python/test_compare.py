"""`halftone compare` from outside: what it writes, keeps, refuses and leaves when it is stopped."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from commands import BIN  # noqa: E402
from fashion_mnist import FashionMnistCommands  # noqa: E402


class Compare(FashionMnistCommands, unittest.TestCase):
    def test_compare_writes_the_reports(self):
        out = self.folder / "compared"
        done = self.start("compare", "fashion-mnist", "--data", self.data, "--model", "mlp",
                          "--batch", "64", "--steps", "40", "--out", out, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "precision (bf16|fp16), measured per step: fp32 ")
        result = json.loads(done.stdout)
        self.assertEqual(result, json.loads((out / "report.json").read_text()))
        self.assertEqual(result["arms"][0]["name"], "fp32")
        self.assertEqual((result["metric"], result["higher_is_better"]), ("accuracy", True))
        for arm in result["arms"]:
            self.assertGreater(arm["step_ms_median"], 0)
            # An MLP's weights alone are 2.7 MB; LibTorch's libraries are more than 50 MB.
            self.assertGreater(arm["peak_tensor_bytes"], 2_700_000)
            self.assertGreater(arm["peak_rss_bytes"], 50_000_000)
        page = (out / "report.html").read_text()
        self.assertIn("<svg", page)
        self.assertNotIn("http://", page.replace("http://www.w3.org/2000/svg", ""))
        for name in ("accuracy.png", "loss.png", "step_time.png"):
            self.assertEqual((out / name).read_bytes()[:4], b"\x89PNG")
        again = self.start("eval", "--run", out / "fp32", "--json")
        self.assertAlmostEqual(json.loads(again.stdout)["accuracy"],
                               result["arms"][0]["final_accuracy"])

    def test_compare_takes_the_epochs_that_fit_the_minutes(self):
        out = self.folder / "timed"
        done = self.start("compare", "fashion-mnist", "--data", self.data, "--model", "mlp",
                          "--batch", "64", "--precision", "bf16", "--minutes", "0.01", "--out", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        epochs = re.search(r"(\d+) epochs? fits? 0.01 minutes", done.stderr).group(1)
        self.assertIn(f"\nepochs = {epochs} ", (out / "config.toml").read_text())
        self.assertRegex(done.stderr, f"step {20 * int(epochs)}/{20 * int(epochs)} ")
        for more in ("--epochs", "--steps"):
            self.expect_error(2, more, "compare", "fashion-mnist", "--minutes", "1", more, "3")
        self.expect_error(2, "above 0", "compare", "fashion-mnist", "--minutes", "nan")

    def test_lockstep_and_diff_tell_what_the_policies_do(self):
        out = self.folder / "lockstep"
        done = self.start(*self.compare_arguments(out, "--steps", "4", "--precision", "fp16",
                                                  "--lockstep=1", "--json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        lockstep = json.loads(done.stdout)["lockstep"]
        self.assertEqual((lockstep["policies"], lockstep["batches"]), (["fp32", "fp16"], 1))
        self.assertIsNone(lockstep["first_too_large"])
        self.assertTrue(all(each["output"] <= each["allowed_output"]
                            for each in lockstep["operations"]))
        self.assertIn("Operation by operation", (out / "report.html").read_text())

        done = self.start("diff", out / "fp32", out / "fp16", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertIn("policy.compute", [each["key"] for each in result["settings"]])
        # One network, on the same kind of batches: what differs is of the same size.
        self.assertEqual([each["name"] for each in result["lockstep"]["operations"]],
                         [each["name"] for each in lockstep["operations"]])
        self.assertEqual(len(result["weights"]), 6)
        shown = self.start("diff", out / "fp32", out / "fp32")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("the same configuration\n", shown.stdout)
        self.assertIn("every loss that both have is the same", shown.stdout)
        self.assertIn("no operation differs", shown.stdout)

    def test_diff_refuses_runs_that_are_not_alike(self):
        one, other = self.folder / "one", self.folder / "other"
        for out, model in ((one, "mlp"), (other, "cnn")):
            done = self.start("train", "fashion-mnist", "--data", self.data, "--model", model,
                              "--batch", "64", "--steps", "1", "--precision", "fp32", "--out", out)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_error(2, "two runs of the same task and model", "diff", one, other)
        self.expect_error(1, str(self.folder / "nothing"), "diff", one, self.folder / "nothing")
        self.expect_error(2, "--batches", "diff", one, one, "--batches", "0")

    def test_compare_of_few_steps_claims_no_speed(self):
        policy = self.folder / "escaping.toml"
        policy.write_text('preset = "bf16"\nname = "../../escaped"\n')
        out = self.folder / "few/steps/here"
        done = self.start(*self.compare_arguments(out, "--steps", "2", "--policy", policy))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("not measured", done.stdout)
        for claim in ("slower", "faster", "as fast"):
            self.assertNotIn(claim, done.stdout)
        report = json.loads((out / "report.json").read_text())
        self.assertIsNone(report["speedup"])
        self.assertIsNone(report["arms"][1]["step_ms_median"])
        self.assertGreater(report["memory_ratio"], 0)
        self.assertEqual({path.name for path in out.iterdir() if path.is_dir()},
                         {"fp32", "______escaped"})
        self.assertFalse(list(self.folder.rglob("escaped")))

    def test_comparison_is_not_replaced_without_being_told(self):
        out = self.folder / "twice"
        arguments = self.compare_arguments(out, "--steps", "2", "--precision", "bf16")
        self.assertEqual(self.start(*arguments).returncode, 0)
        before = self.files_of(out)
        self.expect_error(2, f"{out}: a run is there already", *arguments)
        self.expect_error(2, f"{out}: a run is there already",
                          *self.train_arguments("--steps", "2", "--out", out))
        self.assertEqual(self.files_of(out), before)
        done = self.start(*arguments, "--overwrite")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotEqual(self.files_of(out), before)

    def test_full_disk_loses_no_report_of_a_comparison(self):
        out = self.folder / "full-compare"
        done = self.start_on_a_full_disk(*self.compare_arguments(out, "--steps", "6", "--precision",
                                                                 "bf16", "--json"))
        self.expect_full_disk(done, "fp32/checkpoints/step-00000006.pt")
        self.assertEqual(json.loads(done.stdout), json.loads((out / "report.json").read_text()))
        self.assertIn("<svg", (out / "report.html").read_text())
        self.assertFalse(list(out.rglob("*.tmp")))

    def test_interrupted_comparison_keeps_both_arms(self):
        out = self.folder / "stopped"
        process = subprocess.Popen([BIN, *map(str, self.compare_arguments(
            out, "--steps", "100000", "--precision", "bf16"))], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        log = out / "bf16/metrics.jsonl"
        deadline = time.monotonic() + 120
        while not log.exists() or log.read_text().count("\n") < 5:
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stderr)
        self.assertIn("stopped after", stderr)
        steps = []
        for arm in ("fp32", "bf16"):
            done = self.start("eval", "--run", out / arm, "--json")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("checkpoints/step-", json.loads(done.stdout)["weights"])
            steps.append((out / arm / "metrics.jsonl").read_text().count('"type"'))
        self.assertEqual(steps[0], steps[1])
        self.expect_error(2, f"{out / 'fp32'}: a run is there already",
                          *self.compare_arguments(out, "--steps", "2"))


if __name__ == "__main__":
    unittest.main()
