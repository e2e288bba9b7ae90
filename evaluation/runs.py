"""Runs over a question set: made, kept, and compared with the one before."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.asking import Asker
from evaluation.cases import Case, QuestionSet
from evaluation.measures import Figure, Measured, measure_question, spread, summarize

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """What a set came to: `figures` by group and measure, `rows` by question. `mode`: "retrieval" or "answers"."""

    name: str
    mode: str
    at: str
    figures: Mapping[str, Mapping[str, Figure]]
    rows: Mapping[str, Measured]

    def as_json(self) -> Json:
        """The run as it is kept and printed."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """How a measure over the questions of both runs moved; `is_sure`: the range of the difference leaves out 0."""

    measure: str
    before: float
    now: float
    n: int
    is_sure: bool


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs of one set; `lost` and `gained` are questions whose right passage is among the first five no more, or
    now."""

    before: str
    changes: Sequence[Change]
    lost: Sequence[str]
    gained: Sequence[str]


async def run_set(questions: QuestionSet, asker: Asker, *, mode: str, progress: Callable[[], object]) -> Run:
    """Ask all of *questions*, one after the other; *progress* is called after each."""
    rows: list[Measured] = []
    for case in questions.cases:
        rows.append(measure_question(case, await asker.ask(case.question, case.after)))
        progress()
    figures = summarize(questions.cases, rows)
    by_question = {key: row for key, row in zip(_make_keys(questions.cases), rows, strict=True)}
    return Run(questions.name, mode, datetime.now(UTC).isoformat(timespec="microseconds"), figures, by_question)


def _make_keys(cases: Sequence[Case]) -> list[str]:
    """A name for each question: itself, numbered where it is asked again."""
    seen: dict[str, int] = {}
    keys = []
    for case in cases:
        seen[case.question] = count = seen.get(case.question, 0) + 1
        keys.append(case.question if count == 1 else f"{case.question} ({count})")
    return keys


def keep(folder: Path, run: Run) -> Path:
    """Write *run* below *folder* and give the file: `<set>/<mode>-<time>.json`."""
    file = folder / run.name / f"{run.mode}-{run.at.replace(':', '')}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    partly = file.with_suffix(".part")
    partly.write_text(json.dumps(run.as_json(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partly.replace(file)
    return file


def find_last_run(folder: Path, *, name: str, mode: str) -> Run | None:
    """The newest kept run of the set *name* in *mode*, None if there is none that can be read."""
    for file in sorted((folder / name).glob(f"{mode}-*.json"), reverse=True):
        try:
            run = json.loads(file.read_text(encoding="utf-8"))
            figures = {
                group: {measure: Figure(**figure) for measure, figure in measures.items()}
                for group, measures in run["figures"].items()
            }
            return Run(run["name"], run["mode"], run["at"], figures, run["rows"])
        except (OSError, ValueError, KeyError, TypeError):
            continue  # cut off, or of a later version
    return None


def compare(before: Run, now: Run) -> RunComparison:
    """*now* against *before*, over the questions that both asked."""
    both = [key for key in now.rows if key in before.rows]
    changes = []
    for measure in now.figures["all"]:
        pairs = [(before.rows[key][measure], now.rows[key][measure]) for key in both if _has(measure, key, before, now)]
        if pairs:
            changes.append(_change(measure, pairs))
    result = [key for key in both if _has("recall@5", key, before, now)]
    moved = {key: now.rows[key]["recall@5"] - before.rows[key]["recall@5"] for key in result}
    return RunComparison(
        before.at, changes, [key for key in result if moved[key] < 0], [key for key in result if moved[key] > 0]
    )


def _has(measure: str, key: str, *runs: Run) -> bool:
    return all(measure in run.rows[key] for run in runs)


def _change(measure: str, pairs: Sequence[tuple[float, float]]) -> Change:
    earlier, later = np.array(pairs).T
    low, high = spread(later - earlier)
    is_sure = low > 0 or high < 0
    return Change(measure, round(float(earlier.mean()), 4), round(float(later.mean()), 4), len(pairs), is_sure)
