"""Trains what docs/results.md shows. Each finished run is a JSON file; a killed one goes on from its
checkpoint."""

import datetime
import json
import pathlib
import shutil
import subprocess

SPEED_STEPS = 24


class Failed(Exception):
    """A command of the command line failed; says which and why."""


class Runner:
    """Calls one build's command line. `kept` is where finished runs are, `work` where runs live."""

    def __init__(self, binary, kept, work, data=None, pretrained=None, train_options=(), log=print):
        self.binary = pathlib.Path(binary).resolve()
        self.data = pathlib.Path(data).resolve() if data else None
        self.pretrained = pathlib.Path(pretrained).resolve() if pretrained else None
        self.train_options = tuple(train_options)
        self.log = log
        self.machine = self._machine()
        self.kept = pathlib.Path(kept) / self.machine["rung"]
        self.work = pathlib.Path(work) / self.machine["rung"]

    def lacking(self, row):
        """Why a row can't run here; "" where it can."""
        if row.pretrained and not self.pretrained:
            return "needs --pretrained"
        if row.data and self.data and not (self.data / row.data).exists():
            return f"needs {self.data / row.data}"
        return ""

    def train(self, row, arm, seed):
        """A run to its end and its evaluations; nothing where it is kept already."""
        path = self.kept / row.name / f"{arm}-{seed}.json"
        if path.exists():
            return
        folder = self.work / row.name / f"{arm}-{seed}"
        options = ("--seed", str(seed), *self.train_options)
        started = self._start(folder)
        trained = self._call(row, "train", arm, options, folder)
        record = self._record(row, arm, started) | {"seed": seed, "train": trained}
        record["eval"] = self._evaluate(row, folder)
        best = folder / "checkpoints/best.pt"
        if row.chosen and best.exists():
            record["eval_best"] = self._evaluate(row, folder, ("--weights", str(best)))
        self._keep(path, record)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    def untrained(self, row):
        """The network before training: its metric is part of the bar of some rows."""
        path = self.kept / row.name / "untrained.json"
        if not row.untrained or path.exists():
            return
        folder = self.work / row.name / "untrained"
        started = self._start(folder)
        self._call(row, "train", "fp32", ("--seed", "0", "--steps", "1", "--lr", "1e-12"), folder)
        self._keep(path, self._record(row, "fp32", started) | {"eval": self._evaluate(row, folder)})

    def speed(self, row, arm):
        """Step time and memory of both arms, their steps in turns, on a machine that does nothing
        else."""
        path = self.kept / row.name / f"speed-{arm}.json"
        if path.exists():
            return
        folder = self.work / row.name / f"speed-{arm}"
        started = self._start(folder)
        options = ("--seed", "0", "--steps", str(SPEED_STEPS), "--overwrite")
        compared = self._call(row, "compare", arm, options, folder)
        self._keep(path, self._record(row, arm, started) | {"compare": compared})
        shutil.rmtree(folder, ignore_errors=True)

    def _start(self, folder):
        """What a run begins with; a run that goes on keeps what it began with."""
        path = folder / "started.json"
        if path.exists() and (folder / "checkpoints").exists():
            return json.loads(path.read_text())
        folder.mkdir(parents=True, exist_ok=True)
        started = {"commit": self._commit(), "machine": self.machine,
                   "date": str(datetime.date.today())}
        path.write_text(json.dumps(started))
        return started

    def _record(self, row, arm, started):
        return {"row": row.name, "task": row.task, "model": row.model, "arm": arm} | started

    def _call(self, row, command, arm, options, folder):
        words = [command, row.task, "--model", row.model, "--precision", arm, *row.options, *options]
        self.log("halftone " + " ".join(words))
        words += ["--json", "--out", str(folder)]
        if row.data and self.data:
            words += ["--data", str(self.data / row.data)]
        if row.pretrained:
            words += ["--pretrained", str(self.pretrained)]
        if command == "train":
            checkpoints = folder / "checkpoints"
            resumes = checkpoints.exists() and any(checkpoints.iterdir())
            words.append("--resume" if resumes else "--overwrite")
        return self._json(words, folder / "log.txt")

    def _evaluate(self, row, folder, options=()):
        batch = ("--batch", str(row.batch)) if row.batch else ()
        return self._json(["eval", "--run", str(folder), "--json", *batch, *options])

    def _json(self, words, log=None):
        with open(log, "a") if log else open("/dev/null", "w") as errors:
            done = subprocess.run([str(self.binary), *words], text=True, stdout=subprocess.PIPE,
                                  stderr=errors if log else subprocess.PIPE,
                                  stdin=subprocess.DEVNULL)
        if done.returncode:
            said = log.read_text() if log else done.stderr
            last = said.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
            raise Failed(f"halftone {' '.join(words)}: {last[0]}")
        return json.loads(done.stdout)

    def _keep(self, path, record):
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        fresh.rename(path)

    def _commit(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=root, text=True,
                              capture_output=True)
        return done.stdout.strip() or "unknown"

    def _machine(self):
        doctor = self._json(["doctor", "--json", "--seconds", "0.01"])
        return {key: doctor[key] for key in ("cpu", "features", "halftone", "libtorch", "rung",
                                             "threads")}
