"""The command line as a person meets it: exit codes, one-line errors, --json, files, signals."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from commands import BIN, ROOT, png  # noqa: E402
from fashion_mnist import TEST_IMAGES, FashionMnistCommands, picture  # noqa: E402

class CommandLine(FashionMnistCommands, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_dir = cls.folder / "run"
        cls.trained = cls.start("train", "fashion-mnist", "--data", cls.data, "--model", "mlp",
                                "--precision", "bf16", "--epochs", "3", "--batch", "64", "--json",
                                "--out", cls.run_dir)

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

    def test_run_is_not_replaced_without_being_told(self):
        before = self.files_of(self.run_dir)
        there = f"{self.run_dir}: a run is there already; expected "
        self.expect_error(2, there + "--resume, --overwrite or another directory",
                          *self.train_arguments("--steps", "4", "--out", self.run_dir))
        self.expect_error(2, there + "another directory, or --overwrite",
                          *self.compare_arguments(self.run_dir, "--steps", "4"))
        self.assertEqual(self.files_of(self.run_dir), before)

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
