"""docs/results.md from the finished runs: nothing in it is typed by hand."""

import json
import math
import pathlib
import statistics

DEVIATIONS = 2.3  # shared meaning of "within seed noise", see rows.Row

HEAD = """# Results, task by task

Written by `scripts/results` (`make results`) from the finished runs in `docs/results/`, each a JSON
file that names its commit, machine and rung. A metric is the mean over the seeds ± its standard
deviation, on the data held out: the test set's where a validation set chose among the evaluations,
else after the last step. *Within noise*: the means of the arm and of fp32 differ by at most 2.3
pooled standard deviations or the row's floor, and the deviation is under its cap; it takes three
seeds of both. Step time and memory are of `halftone compare` with both arms' steps in turns.
"""

COLUMNS = ("task", "metric, bar", "arm", "seeds", "result", "at the bar", "against fp32",
           "within noise", "step time", "memory", "skipped steps")


def load(kept, rung, row):
    """(runs, speeds, untrained) of one row: {arm: [record]}, {arm: record}, record or None."""
    runs, speeds, untrained = {}, {}, None
    for path in sorted((pathlib.Path(kept) / rung / row.name).glob("*.json")):
        record = json.loads(path.read_text())
        if path.stem == "untrained":
            untrained = record
        elif path.stem.startswith("speed-"):
            speeds[record["arm"]] = record
        else:
            runs.setdefault(record["arm"], []).append(record)
    return runs, speeds, untrained


def judged(record):
    return record.get("eval_best", record["eval"])


def values(runs, metric):
    return [judged(record)[metric] for record in runs]


def deviation(numbers):
    return statistics.stdev(numbers) if len(numbers) > 1 else math.nan


def pooled(a, b):
    spread = ((len(a) - 1) * deviation(a) ** 2 + (len(b) - 1) * deviation(b) ** 2)
    return math.sqrt(spread / (len(a) + len(b) - 2))


def within_noise(row, fp32, mixed):
    """"yes" or "no"; "" with fewer than three seeds of either."""
    if min(len(fp32), len(mixed)) < 3:
        return ""
    spread = pooled(fp32, mixed)
    same = abs(statistics.mean(mixed) - statistics.mean(fp32)) <= max(DEVIATIONS * spread, row.floor)
    return "yes" if same and spread <= row.cap else "no"


def show(row, value, signed=False):
    if row.share:
        return f"{100 * value:{'+' if signed else ''}.2f}{'' if signed else ' %'}"
    return f"{value:{'+' if signed else ''}.{2 if row.floor >= 0.1 else 4}f}"


def result(row, numbers):
    text = show(row, statistics.mean(numbers))
    if len(numbers) > 1:
        text += " ± " + show(row, deviation(numbers)).removesuffix(" %")
    return text


def bar(row, untrained):
    sign = "≥" if row.higher else "≤"
    if not row.untrained:
        return f"{sign} {show(row, row.bar(math.nan))}"
    base = untrained["eval"][row.metric] if untrained else None
    return row.bar_text + (f" ({show(row, base)}): {sign} {show(row, row.bar(base))}"
                           if untrained else " (not measured)")


def arm_line(row, arm, runs, speeds, untrained):
    numbers = values(runs[arm], row.metric)
    base = untrained["eval"][row.metric] if untrained else math.nan
    line = [f"{len(numbers)}", result(row, numbers),
            "yes" if row.at_bar(statistics.mean(numbers), base) else "no"]
    fp32 = values(runs["fp32"], row.metric) if arm != "fp32" and "fp32" in runs else []
    line.append(show(row, statistics.mean(numbers) - statistics.mean(fp32), signed=True)
                if fp32 else "")
    line.append(within_noise(row, fp32, numbers) if fp32 else "")
    compared = speeds[arm]["compare"] if arm in speeds else {}
    for key, text in (("speedup", "{:.2f}× as fast"), ("memory_ratio", "{:.2f}×")):
        line.append(text.format(compared[key]) if compared.get(key) else "")
    skipped = [record["train"]["skipped_steps"] for record in runs[arm]]
    steps = sum(record["train"]["steps"] for record in runs[arm])
    return line + [f"{sum(skipped)} of {steps}"]


def row_lines(row, found):
    runs, speeds, untrained = found
    lines = []
    for arm in row.arms:
        first = (f"{row.task}, {row.model}", f"{row.metric} {bar(row, untrained)}")
        shown = first if not lines else ("", "")
        if arm in runs:
            lines.append([*shown, arm, *arm_line(row, arm, runs, speeds, untrained)])
        else:
            lines.append([*shown, arm, "0", "not run", *[""] * 6])
    return lines


def further(row, runs):
    """The metrics without a bar."""
    parts = []
    for arm in row.arms:
        if arm in runs:
            means = ", ".join(f"{name} {statistics.mean(values(runs[arm], name)):.4f}"
                              for name in row.also)
            parts.append(f"{arm}: {means}")
    return f"- {row.task}, {row.model}: " + "; ".join(parts) if row.also and parts else ""


def markdown_row(cells):
    return "| " + " | ".join(cells) + " |"


def machines(records):
    """Each machine and each commit that the section's runs come from."""
    seen = sorted({(r["machine"]["cpu"], r["machine"]["threads"], r["machine"]["libtorch"],
                    ", ".join(r["machine"]["features"])) for r in records})
    lines = [f"{cpu}, {threads} thread{'s' * (threads != 1)} ({features}), LibTorch {libtorch}"
             for cpu, threads, libtorch, features in seen]
    commits = sorted({r["commit"] for r in records})
    return "; ".join(lines) + ". Commits: " + ", ".join(commits) + "."


def section(rows, kept, rung):
    found = {row.name: load(kept, rung, row) for row in rows}
    records = [record for runs, speeds, untrained in found.values()
               for record in [*sum(runs.values(), []), *speeds.values(),
                              *([untrained] if untrained else [])]]
    if not records:
        return ""
    lines = [f"## Rung {rung}", "", machines(records), "", markdown_row(COLUMNS),
             "|" + "---|" * len(COLUMNS)]
    for row in rows:
        lines += [markdown_row(line) for line in row_lines(row, found[row.name])]
    notes = [note for row in rows if (note := further(row, found[row.name][0]))]
    if notes:
        lines += ["", "Further metrics, means over the seeds:", "", *notes]
    return "\n".join(lines) + "\n"


def page(rows, kept):
    """The whole file: a section for each rung, so that no row mixes rungs."""
    rungs = sorted(path.name for path in pathlib.Path(kept).glob("*") if path.is_dir())
    sections = [text for rung in rungs if (text := section(rows, kept, rung))]
    return HEAD + "\n" + "\n".join(sections)
