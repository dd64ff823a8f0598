"""The command line as a person meets it: exit codes, one-line errors, --json, files, signals."""

import json
import os
import pathlib
import random
import resource
import signal
import struct
import subprocess
import sys
import time
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from commands import BIN, ROOT, Commands  # noqa: E402

IMAGES, TEST_IMAGES = 1280, 200


def picture(label, noise):
    """28x28 bytes; the bright rows tell the label."""
    rows = bytearray(noise.randrange(60) for _ in range(784))
    rows[56 * label:56 * label + 84] = bytes([230]) * 84
    return bytes(rows)


def write_fashion_mnist(folder):
    noise = random.Random(1)
    for name, count in (("train", IMAGES), ("t10k", TEST_IMAGES)):
        labels = bytes(i % 10 for i in range(count))
        pixels = b"".join(picture(label, noise) for label in labels)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            struct.pack(">IIII", 0x803, count, 28, 28) + pixels)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + labels)


def png(width, height, pixels):
    """A grey PNG."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + pixels[y * width:(y + 1) * width] for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class CommandLine(Commands, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "data"
        cls.data.mkdir()
        write_fashion_mnist(cls.data)
        cls.run_dir = cls.folder / "run"
        cls.trained = cls.start("train", "fashion-mnist", "--data", cls.data, "--model", "mlp",
                                "--precision", "bf16", "--epochs", "3", "--batch", "64", "--json",
                                "--out", cls.run_dir)

    def train_arguments(self, *more):
        return ("train", "fashion-mnist", "--data", self.data, "--model", "mlp", "--batch", "64",
                "--precision", "bf16", *more)

    # What a run leaves behind.

    def test_train_reports_and_writes_a_whole_run(self):
        self.assertEqual(self.trained.returncode, 0, self.trained.stderr)
        result = json.loads(self.trained.stdout)
        self.assertEqual(result["steps"], 60)
        self.assertGreater(result["final_accuracy"], 0.9)
        names = {path.name for path in self.run_dir.iterdir()}
        self.assertLessEqual({"config.toml", "metrics.jsonl", "checkpoints", "weights.safetensors"},
                             names)
        self.assertTrue([name for name in names if name.startswith("events.")])
        lines = [json.loads(line) for line in
                 (self.run_dir / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual(sum(line["type"] == "step" for line in lines), 60)

    def test_eval_gives_the_accuracy_of_the_training_and_a_confusion_matrix(self):
        done = self.start("eval", "--run", self.run_dir, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual(result["samples"], TEST_IMAGES)
        self.assertAlmostEqual(result["accuracy"], json.loads(self.trained.stdout)["final_accuracy"])
        self.assertEqual(sum(map(sum, result["confusion"])), TEST_IMAGES)
        self.assertIn("Sandal", self.start("eval", "--run", self.run_dir).stdout)

    def test_predict_names_the_class_of_images_of_any_size(self):
        names = []
        for label, scale in ((0, 1), (5, 2), (9, 3)):
            pixels = picture(label, random.Random(label))
            rows = [pixels[28 * y:28 * y + 28] for y in range(28)]
            large = b"".join(bytes(value for value in row for _ in range(scale))
                             for row in rows for _ in range(scale))
            names.append(self.folder / f"image{label}.png")
            names[-1].write_bytes(png(28 * scale, 28 * scale, large))
        done = self.start("predict", *names, "--run", self.run_dir, "--json", "--top", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual([entry["class"] for entry in result],
                         ["T-shirt/top", "Sandal", "Ankle boot"])
        for entry in result:
            self.assertEqual(len(entry["top"]), 3)
            self.assertLessEqual(entry["probability"], 1)

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

    def compare_arguments(self, out, *more):
        return ("compare", "fashion-mnist", "--data", self.data, "--model", "mlp", "--batch", "64",
                "--out", out, *more)

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

    def test_tasks_lists_what_each_task_needs(self):
        done = self.start("tasks", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        listed = {task["name"]: task for task in json.loads(done.stdout)}
        published = dict(line.split()[::-1] for line in
                         (ROOT / "scripts/fashion_mnist.sha256").read_text().splitlines())
        self.assertEqual({file["name"]: file["sha256"] for file in listed["fashion-mnist"]["files"]},
                         published)
        plain = self.start("tasks").stdout
        for task in listed.values():
            self.assertTrue(task["models"] and task["source"] and task["time"], task)
            self.assertIn(task["name"] + ": " + task["summary"], plain)

    def test_every_preset_trains(self):
        for preset in ("fp32", "bf16-master", "bf16-stochastic", "bf16-kahan", "fp16-master", "O1",
                       "fp8-sim"):
            with self.subTest(preset):
                done = self.start("train", "fashion-mnist", "--data", self.data, "--model", "mlp",
                                  "--batch", "64", "--steps", "12", "--precision", preset, "--json")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(json.loads(done.stdout)["steps"], 12)

    def test_policy_file_decides(self):
        policy = self.folder / "policy.toml"
        policy.write_text('preset = "bf16"\nname = "mine"\n')
        done = self.start("train", "fashion-mnist", "--data", self.data, "--model", "mlp",
                          "--batch", "64", "--steps", "4", "--policy", policy, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["precision"], "mine")

    # Bad input.

    def test_option_values_that_make_no_sense_are_usage_errors(self):
        for option, value, text in (("--batch", "0", "at least 1"), ("--lr", "nan", "finite"),
                                    ("--lr", "-1", "above 0"), ("--lr", "inf", "finite"),
                                    ("--epochs", "0", "at least 1"), ("--steps", "1.5", "whole"),
                                    ("--seed", "-1", "at least 0"), ("--batch", "many", "whole"),
                                    ("--checkpoint-every", "0", "at least 1"),
                                    ("--epochs", "9223372036854775807", "at most 1000000000"),
                                    ("--steps", "1000000001", "at most 1000000000"),
                                    ("--batch", "99999999999999999999", "at most 1000000000"),
                                    ("--model", "resnet19", "resnet18"),
                                    ("--precision", "bf15", "bf16")):
            with self.subTest(f"{option} {value}"):
                self.expect_error(2, text, "train", "fashion-mnist", "--data", self.data, option,
                                  value)

    def test_unknown_names_are_usage_errors_with_the_nearest(self):
        self.expect_error(2, 'did you mean "train"', "trian")
        self.expect_error(2, 'did you mean "fashion-mnist"', "train", "fashion-mist")
        self.expect_error(2, "--nonsense", "train", "fashion-mnist", "--nonsense")

    def test_precision_and_policy_together_are_a_usage_error(self):
        policy = self.folder / "both.toml"
        policy.write_text('preset = "bf16"\n')
        for command in ("train", "compare"):
            self.expect_error(2, "--policy", command, "fashion-mnist", "--precision", "bf16",
                              "--policy", policy)

    def test_unknown_policy_key_is_named_with_its_line(self):
        policy = self.folder / "wrong.toml"
        policy.write_text('preset = "bf16"\ncomptue = "fp16"\n')
        self.expect_error(2, "wrong.toml:2", "train", "fashion-mnist", "--data", self.data,
                          "--policy", policy)
        policy.write_text('preset = "bf16"\n[[operations]]\nmatch = "cnov2d"\nformat = "fp32"\n')
        self.expect_error(2, "wrong.toml:3", "train", "fashion-mnist", "--data", self.data,
                          "--policy", policy)
        policy.write_text('preset = "bf16-master"\ngradients = "fp32"\n')
        self.expect_error(2, "wrong.toml:2", "train", "fashion-mnist", "--data", self.data,
                          "--policy", policy)
        policy.write_text('preset = "bf16"\n[[modules]]\nmatch = "fc9"\nformat = "fp32"\n')
        for command in ("train", "compare"):
            self.expect_error(2, 'did you mean "fc1"', command, "fashion-mnist", "--data", self.data,
                              "--model", "mlp", "--policy", policy, "--out", self.folder / "no-rule")
        self.assertFalse((self.folder / "no-rule/config.toml").exists())
        self.expect_error(1, "absent.toml", "train", "fashion-mnist", "--data", self.data,
                          "--policy", self.folder / "absent.toml")

    def test_batch_larger_than_the_data_is_a_usage_error(self):
        for command in ("train", "compare"):  # before the formats are measured
            self.expect_error(2, "at most the 1280 training images", command, "fashion-mnist",
                              "--data", self.data, "--model", "mlp", "--batch", "5000", "--out",
                              self.folder / "large")

    def test_missing_data_say_how_to_get_them(self):
        self.expect_error(1, "nowhere", "train", "fashion-mnist", "--data", self.folder / "nowhere")
        if not os.path.exists("/usr/share/datasets/fashion-mnist"):
            self.expect_error(1, "fetch_fashion_mnist.sh", "train", "fashion-mnist")
        self.expect_error(1, "--data", "train", "cifar10")

    def test_corrupt_image_is_named_and_left_out_unless_there_are_many(self):
        data = self.folder / "pictures"
        names = ("airplane automobile bird cat deer dog frog horse ship truck").split()
        picture = png(32, 32, bytes(range(256)) * 4)
        for name in names:
            for split, count in (("train", 11), ("test", 1)):
                (data / split / name).mkdir(parents=True)
                for i in range(count):
                    (data / split / name / f"{i}.png").write_bytes(picture)
        (data / "train/cat/torn.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(20))
        arguments = ("train", "cifar10", "--data", data, "--model", "mlp", "--precision", "fp32",
                     "--steps", "1", "--batch", "110")
        done = self.start(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "1 of 111 images cannot be read and is left out: cat/torn.jpg")
        (data / "train/dog/torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
        self.expect_error(1, "2 of 112 images cannot be read: cat/torn.jpg", *arguments)
        (data / "data_batch_2.bin").write_bytes(b"")
        self.expect_error(1, "data_batch_1.bin: no such file; expected data_batch_1.bin", *arguments)

    def test_truncated_data_are_named(self):
        broken = self.folder / "broken"
        broken.mkdir()
        for path in self.data.iterdir():
            (broken / path.name).write_bytes(path.read_bytes())
        images = broken / "train-images-idx3-ubyte"
        images.write_bytes(images.read_bytes()[:-5])
        self.expect_error(1, "train-images-idx3-ubyte", "train", "fashion-mnist", "--data", broken)

    def test_out_that_cannot_be_written_is_found_before_training(self):
        blocked = self.folder / "file"
        blocked.write_text("")
        for command in ("train", "compare"):
            self.expect_error(1, str(blocked), command, "fashion-mnist", "--data", self.data,
                              "--out", blocked / "run")

    def files_of(self, folder):
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def test_run_is_not_replaced_without_being_told(self):
        before = self.files_of(self.run_dir)
        there = f"{self.run_dir}: a run is there already; expected "
        self.expect_error(2, there + "--resume, --overwrite or another directory",
                          *self.train_arguments("--steps", "4", "--out", self.run_dir))
        self.expect_error(2, there + "another directory, or --overwrite",
                          *self.compare_arguments(self.run_dir, "--steps", "4"))
        self.assertEqual(self.files_of(self.run_dir), before)

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

    # A full disk: files beyond a limit of size can't be written. The checkpoint of the mlp has 5 MB.

    def start_on_a_full_disk(self, *arguments):
        size = 1 << 20
        return self.start(*arguments, preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_FSIZE, (size, size)))

    def expect_full_disk(self, done, name):
        self.assertEqual(done.returncode, 1, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        self.assertRegex(last, f"^halftone (train|compare): .*{name}.*: cannot write .File too large")

    def test_full_disk_leaves_the_checkpoints_before(self):
        out = self.folder / "full"
        done = self.start(*self.train_arguments("--steps", "20", "--out", out))
        self.assertEqual(done.returncode, 0, done.stderr)
        before = self.files_of(out / "checkpoints")
        self.assertTrue(before)
        resume = self.train_arguments("--resume", "--steps", "30", "--checkpoint-every", "5", "--out",
                                      out)
        self.expect_full_disk(self.start_on_a_full_disk(*resume), "step-00000025.pt")
        self.assertEqual(self.files_of(out / "checkpoints"), before)
        self.assertFalse(list(out.rglob("*.tmp")))
        done = self.start(*resume)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_full_disk_loses_no_report_of_a_comparison(self):
        out = self.folder / "full-compare"
        done = self.start_on_a_full_disk(*self.compare_arguments(out, "--steps", "6", "--precision",
                                                                 "bf16", "--json"))
        self.expect_full_disk(done, "fp32/checkpoints/step-00000006.pt")
        self.assertEqual(json.loads(done.stdout), json.loads((out / "report.json").read_text()))
        self.assertIn("<svg", (out / "report.html").read_text())
        self.assertFalse(list(out.rglob("*.tmp")))

    def test_resume_without_a_run_or_with_other_options_is_an_error(self):
        self.expect_error(2, "--out", *self.train_arguments("--resume"))
        self.expect_error(1, "no config.toml", *self.train_arguments(
            "--resume", "--out", self.folder / "none"))
        self.expect_error(2, "--lr", *self.train_arguments("--resume", "--lr", "0.7", "--out",
                                                           self.run_dir))

    def test_eval_and_predict_of_what_is_no_run_or_no_image(self):
        self.expect_error(1, "no config.toml", "eval", "--run", self.folder)
        text = self.folder / "text.png"
        text.write_text("not an image")
        self.expect_error(1, "text.png", "predict", text, "--run", self.run_dir)
        self.expect_error(1, "absent.png", "predict", self.folder / "absent.png", "--run",
                          self.run_dir)
        self.expect_error(1, "text.png", "eval", "--run", self.run_dir, "--weights", text)
        self.expect_error(2, "--length for fashion-mnist", "predict", text, "--run", self.run_dir,
                          "--length", "5")

    def test_weights_of_another_model_name_what_differs(self):
        other = self.folder / "other"
        done = self.start("train", "fashion-mnist", "--data", self.data, "--model", "cnn", "--batch",
                          "32", "--steps", "2", "--precision", "fp32", "--out", other)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_error(1, "fc1.weight [512, 3136] (the model's is [512, 784])", "eval", "--run", self.run_dir, "--weights",
                          other / "weights.safetensors")

    def test_torn_checkpoint_is_passed_over_and_a_foreign_one_is_an_error(self):
        out = self.folder / "torn"
        done = self.start(*self.train_arguments("--steps", "20", "--checkpoint-every", "5", "--out",
                                                out))
        self.assertEqual(done.returncode, 0, done.stderr)
        weights = (out / "weights.safetensors").read_bytes()
        newest = out / "checkpoints/step-00000020.pt"
        newest.write_bytes(newest.read_bytes()[:-1000])
        done = self.start(*self.train_arguments("--resume", "--out", out))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "checkpoint passed over: .*step-00000020.pt")
        self.assertEqual((out / "weights.safetensors").read_bytes(), weights)

        other = self.folder / "other-model"
        done = self.start("train", "fashion-mnist", "--data", self.data, "--model", "cnn", "--batch",
                          "64", "--precision", "bf16", "--steps", "2", "--out", other)
        self.assertEqual(done.returncode, 0, done.stderr)
        newest.write_bytes((other / "checkpoints/step-00000002.pt").read_bytes())
        self.expect_error(1, "fc1.weight [512, 3136] (the model's is [512, 784])",
                          *self.train_arguments("--resume", "--out", out))
        for path in (out / "checkpoints").iterdir():
            path.write_bytes(b"not a checkpoint")
        self.expect_error(1, "none of them whole", *self.train_arguments("--resume", "--out", out))

    # Signals and resume.

    def interrupted_run(self, out, number, *more):
        process = subprocess.Popen([BIN, *map(str, self.train_arguments(
            "--steps", "3000", "--checkpoint-every", "20", "--out", out, *more))],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not list(out.glob("checkpoints/step-*.pt")):
            self.assertLess(time.monotonic(), deadline)
            self.assertIsNone(process.poll(), process.poll())
            time.sleep(0.02)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr

    def test_signals_write_a_checkpoint_and_exit_with_their_number(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            out = self.folder / f"signal{code}"
            returned, stderr = self.interrupted_run(out, number)
            self.assertEqual(returned, code, stderr)
            self.assertNotIn("terminate", stderr)
            self.assertTrue(list(out.glob("checkpoints/step-*.pt")))

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

    def test_killed_run_resumes_to_the_same_weights(self):
        length = ("--epochs", "6")  # 120 steps
        whole = self.folder / "whole"
        done = self.start(*self.train_arguments(*length, "--out", whole))
        self.assertEqual(done.returncode, 0, done.stderr)
        killed = self.folder / "killed"
        process = subprocess.Popen([BIN, *map(str, self.train_arguments(
            *length, "--checkpoint-every", "7", "--out", killed))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(list(killed.glob("checkpoints/step-*.pt"))) < 2 and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        done = self.start(*self.train_arguments("--resume", "--out", killed))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((killed / "weights.safetensors").read_bytes(),
                         (whole / "weights.safetensors").read_bytes())


if __name__ == "__main__":
    unittest.main()
