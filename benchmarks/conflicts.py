"""How many of the planted conflicts are found, and how many of those found are conflicts.

    python -m benchmarks.conflicts              # half the pairs, by topic: those the rules were written with
    python -m benchmarks.conflicts --sealed     # the other half, looked at for the figures alone

`evaluation/conflicts` holds pairs of passages in English, Indonesian and Spanish: half say the same thing with another
fee, date, hour, person, place or limit; the others only look so: other years, campuses, groups, days, the same value
written in another way.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.conflicts.comparison import find_differences
from utils.passages import Passage

PAIRS = Path(__file__).parents[1] / "evaluation" / "conflicts"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A pair, and whether a conflict was found in it."""

    pair: dict[str, Any]
    is_found: bool

    @property
    def is_right(self) -> bool:
        """Whether it was found as it should be."""
        return bool(self.is_found == self.pair["conflict"])


def run(half: str) -> list[Outcome]:
    """What is found in the pairs of "open" or "sealed"."""
    pairs = map(json.loads, (PAIRS / f"{half}.jsonl").read_text("utf-8").splitlines())
    return [Outcome(pair, any(find_differences(*passages_of(pair)))) for pair in pairs]


def recall(outcomes: Sequence[Outcome]) -> float:
    """The part of the conflicts that is found."""
    planted = [each for each in outcomes if each.pair["conflict"]]
    return sum(each.is_found for each in planted) / len(planted)


def precision(outcomes: Sequence[Outcome]) -> float:
    """The part of what is found that is a conflict."""
    found = [each for each in outcomes if each.is_found]
    return sum(bool(each.pair["conflict"]) for each in found) / max(1, len(found))


def passages_of(pair: dict[str, Any]) -> tuple[Passage, Passage]:
    """The two sides of *pair*, as passages of two documents."""
    return _passage("one", pair), _passage("other", pair)


def _passage(side: str, pair: dict[str, Any]) -> Passage:
    told, language = pair[side], pair["language"]
    size = len(told["text"])
    return Passage(side, side, told["title"], side, None, None, told["heading"], 0, size, language, told["text"])


def main() -> None:
    """Print the figures; of the open half also each pair that is not told right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sealed", action="store_true", help="the half that the rules were not written with")
    half = "sealed" if parser.parse_args().sealed else "open"
    outcomes = run(half)
    print(f"{half}: recall {recall(outcomes):.2f}, precision {precision(outcomes):.2f}, {len(outcomes)} pairs")
    for language in ("en", "id", "es"):
        own = [each for each in outcomes if each.pair["language"] == language]
        print(f"  {language}: recall {recall(own):.2f}, precision {precision(own):.2f}")
    wrong = [each for each in outcomes if not each.is_right]
    if half == "open":
        for each in wrong:
            pair = each.pair
            print(f"  {'found' if each.is_found else 'missed'}: {pair['one']['text']} | {pair['other']['text']}")
    else:
        print(f"  wrong by kind: {dict(Counter(each.pair['kind'] for each in wrong))}")


if __name__ == "__main__":
    main()
