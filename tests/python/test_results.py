"""scripts/results: what is kept, what goes on, what the table says; over a stand-in for the command
line, which answers with numbers of its own."""

import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts/results"), str(pathlib.Path(__file__).parent)]
import runs  # noqa: E402
import table  # noqa: E402
from commands import BIN  # noqa: E402
from rows import ROWS, Row, at  # noqa: E402

STAND_IN = '''#!{python}
import json, pathlib, sys
words = sys.argv[1:]
where = pathlib.Path(__file__).parent
with open(where / "calls", "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[0] == "doctor":
    print(json.dumps(dict(cpu="C", features=["f"], halftone="0", libtorch="2", rung="ref", threads=2)))
elif words[0] == "train":
    out = pathlib.Path(words[words.index("--out") + 1])
    (out / "checkpoints").mkdir(exist_ok=True)
    (out / "checkpoints/step.pt").write_text("state")
    if (where / "killed").exists():
        sys.exit("halftone: killed")
    (out / "checkpoints/best.pt").write_text("state")
    print(json.dumps(dict(steps=10, skipped_steps=1)))
elif words[0] == "eval":
    arm = pathlib.Path(words[words.index("--run") + 1]).name
    print(json.dumps(dict(accuracy=0.9 if "--weights" in words else 0.8, loss=len(arm))))
else:
    print(json.dumps(dict(speedup=2.0, memory_ratio=0.5)))
'''

ROW = Row("row", "task", "net", "accuracy", at(0.85), 0.01, 0.02, share=True, chosen=True,
          arms=("fp32", "bf16"))


class Training(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.folder = pathlib.Path(self.scratch.name)
        self.binary = self.folder / "halftone"
        self.binary.write_text(STAND_IN.format(python=sys.executable))
        self.binary.chmod(0o755)

    def runner(self, **more):
        return runs.Runner(self.binary, self.folder / "kept", self.folder / "work",
                           log=lambda text: None, **more)

    def calls(self, command):
        lines = (self.folder / "calls").read_text().splitlines()
        return [words for words in map(json.loads, lines) if words[0] == command]

    def test_a_finished_run_is_kept_and_not_trained_again(self):
        for _ in range(2):
            self.runner().train(ROW, "bf16", 3)
        self.assertEqual(len(self.calls("train")), 1)
        record = json.loads((self.folder / "kept/ref/row/bf16-3.json").read_text())
        self.assertEqual((record["arm"], record["seed"], record["task"]), ("bf16", 3, "task"))
        self.assertEqual(record["machine"]["rung"], "ref")
        self.assertTrue(record["commit"])
        # Chosen by the validation set: both are kept, and the best one is what counts.
        self.assertEqual(record["eval"]["accuracy"], 0.8)
        self.assertEqual(table.judged(record)["accuracy"], 0.9)

    def test_a_killed_run_goes_on_from_its_checkpoint_with_the_commit_it_began_with(self):
        (self.folder / "killed").touch()
        with self.assertRaisesRegex(runs.Failed, "exit status|killed"):
            self.runner().train(ROW, "fp32", 0)
        self.assertFalse((self.folder / "kept").exists())
        started = self.folder / "work/ref/row/fp32-0/started.json"
        started.write_text(started.read_text().replace('"commit": "', '"commit": "first-'))
        (self.folder / "killed").unlink()
        self.runner().train(ROW, "fp32", 0)
        first, second = self.calls("train")
        self.assertIn("--overwrite", first)
        self.assertIn("--resume", second)
        record = json.loads((self.folder / "kept/ref/row/fp32-0.json").read_text())
        self.assertTrue(record["commit"].startswith("first-"))

    def test_a_row_without_its_data_or_weights_is_named(self):
        lacking = self.runner(data=self.folder).lacking
        self.assertEqual(lacking(ROW), "")
        self.assertIn("nowhere", lacking(Row(**{**vars(ROW), "data": "nowhere"})))
        self.assertIn("--pretrained", lacking(Row(**{**vars(ROW), "pretrained": True})))

    def test_the_command_writes_the_page_and_says_what_failed(self):
        (self.folder / "bin").mkdir()
        self.binary.rename(self.folder / "bin/halftone")
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts/results"), "--build", str(self.folder), "--only",
             "fashion-mnist", "sst2-encoder", "--seeds", "0", "--kept", str(self.folder / "kept"),
             "--work", str(self.folder / "work"), "--page", str(self.folder / "page.md")],
            text=True, capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not done: sst2-encoder: needs --pretrained", done.stderr)
        page = (self.folder / "page.md").read_text()
        self.assertIn("| fashion-mnist, cnn | accuracy ≥ 90.00 % | fp32 | 1 | 80.00 % | no |", page)
        self.assertIn("2.00× as fast | 0.50× | 1 of 10 |", page)
        self.assertIn("sst2, encoder", page)


def record(value, arm="fp32"):
    return {"eval": {"accuracy": value}, "arm": arm,
            "train": {"steps": 5, "skipped_steps": 0}}


class Table(unittest.TestCase):
    def test_within_noise_needs_three_seeds_a_small_gap_and_a_small_spread(self):
        same = [0.900, 0.902, 0.904]  # deviation 0.002
        self.assertEqual(table.within_noise(ROW, same, same[:2]), "")
        self.assertEqual(table.within_noise(ROW, same, [x - 0.0099 for x in same]), "yes")  # floor
        self.assertEqual(table.within_noise(ROW, same, [x - 0.0101 for x in same]), "no")
        wide = [0.880, 0.895, 0.910]  # deviation 0.015: 2.3 of them are 0.0345
        self.assertEqual(table.within_noise(ROW, wide, [x - 0.034 for x in wide]), "yes")
        self.assertEqual(table.within_noise(ROW, wide, [x - 0.035 for x in wide]), "no")
        wider = [0.85, 0.90, 0.95]  # deviation 0.05: over the cap
        self.assertEqual(table.within_noise(ROW, wider, wider), "no")

    def test_the_pooled_deviation_weighs_by_seeds(self):
        self.assertAlmostEqual(table.pooled([1, 3], [2, 4, 6]), math.sqrt((2 + 8) / 3))

    def test_a_line_tells_mean_deviation_bar_and_difference(self):
        found = {"fp32": [record(0.86), record(0.88)], "bf16": [record(0.84)]}
        first, second = table.row_lines(ROW, (found, {}, None))
        self.assertEqual(first[2:7], ["fp32", "2", "87.00 % ± 1.41", "yes", ""])
        self.assertEqual(second[2:7], ["bf16", "1", "84.00 %", "no", "-3.00"])

    def test_a_bar_may_depend_on_the_untrained_network(self):
        row = Row(**{**vars(ROW), "untrained": True, "bar": lambda base: base + 0.5,
                     "bar_text": "50 points above"})
        self.assertEqual(table.bar(row, None), "50 points above (not measured)")
        self.assertEqual(table.bar(row, record(0.1)), "50 points above (10.00 %): ≥ 60.00 %")
        lines = table.row_lines(row, ({"fp32": [record(0.86)]}, {}, record(0.1)))
        self.assertEqual(lines[0][5], "yes")
        lines = table.row_lines(row, ({"fp32": [record(0.86)]}, {}, None))
        self.assertEqual(lines[0][5], "no")

    def test_less_is_better_where_the_row_says_so(self):
        row = Row(**{**vars(ROW), "higher": False, "share": False, "bar": at(1.6)})
        self.assertEqual(table.row_lines(row, ({"fp32": [record(1.5)]}, {}, None))[0][5], "yes")
        self.assertEqual(table.row_lines(row, ({"fp32": [record(1.7)]}, {}, None))[0][5], "no")

    def test_digits_are_those_of_the_rows_scale(self):
        returns = Row(**{**vars(ROW), "share": False, "floor": 15})
        self.assertEqual(table.result(returns, [500, 500]), "500.00 ± 0.00")
        self.assertEqual(table.show(returns, 1.5, signed=True), "+1.50")
        losses = Row(**{**vars(ROW), "share": False, "floor": 0.002})
        self.assertEqual(table.show(losses, 12.34567), "12.3457")

    def test_rungs_have_sections_of_their_own(self):
        with tempfile.TemporaryDirectory() as folder:
            for rung, threads in (("amx", 1), ("avx512", 2)):
                path = pathlib.Path(folder) / rung / "row/fp32-0.json"
                path.parent.mkdir(parents=True)
                machine = {"cpu": rung, "threads": threads, "libtorch": "2", "features": []}
                path.write_text(json.dumps(record(0.9) | {"machine": machine, "commit": "c"}))
            page = table.page([ROW], folder)
        self.assertIn("## Rung amx", page)
        self.assertIn("## Rung avx512", page)
        self.assertIn("amx, 1 thread (", page)
        self.assertIn("avx512, 2 threads (", page)
        self.assertEqual(page.count("| fp32 | 1 | 90.00 % |"), 2)


class Rows(unittest.TestCase):
    def test_rows_name_tasks_and_networks_that_there_are(self):
        self.assertEqual(len({row.name for row in ROWS}), len(ROWS))
        listed = subprocess.run([BIN, "tasks"], text=True, capture_output=True).stdout
        for row in ROWS:
            models = re.search(rf"^{row.task}: .*\n  models  (.*)$", listed, re.MULTILINE)
            self.assertIn(row.model, models.group(1).split(", "), row.name)
            self.assertEqual(row.arms[0], "fp32", row.name)
            self.assertTrue(row.untrained or math.isfinite(row.bar(math.nan)), row.name)


if __name__ == "__main__":
    unittest.main()
