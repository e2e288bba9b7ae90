"""Texts for which a careless pattern takes the square of their length, made of what the pattern looks for."""

import random
import re
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Pattern = re.Pattern[Any]

# Said again and again: white space, dots, initials, brackets, marks of citations, tables, rules, fences, accents.
PUMPS = (
    *("a", " ", "\n", ".", "a. ", "A. ", "A. B", "A ", "J.", "a b ", "word ", "1 ", "1, ", "1.", "5 km ", "two "),
    *("1 May 2020 ", "may ", "[1]", "a[1] ", "A b. [1] ", "It opens at 8. [1] ", "\n\n", "a\n", "- a\n"),
    *("| a | b |\n", "|", "a | ", "#", " # a\n", "# A\n", "<", "< ", "<passage ", "&amp;", "e\u0315\u0300"),
    *("\u0301", "\u0f73", "é", "ß", "İ", "\ufdfa", "中", "中。", "\U0001f600", "not a ", "open closed ", "monday to "),
    *("XIV ", "“", "o'", "-", "*", "**", "`", "_", "$", "a.b", "(", "?", "! ", "\u00a0", "\u2028"),
    *("Yes. No. [1]\n", "a:\n", "A:\n\n", "x [1]\n\n", "[[1]"),
    *("|---|---|\n", "---\n", "```mermaid\n", "```\n", "<|", "</passage>", "[", "\t", "\0"),
)
# Each stands for a class that patterns tell apart: letters, capitals, digits, marks, white space, other scripts.
_GENERAL = (
    "a",
    "A",
    "0",
    "_",
    " ",
    "\n",
    "\t",
    "\u00a0",
    ".",
    ",",
    "-",
    "[1]",
    "é",
    "\u0301",
    "中",
    "\U0001f600",
    "\0",
)
_SYNTAX = re.compile(r"\\[AbBdDsSwWZ]|\\[ux][0-9a-fA-F]+|\(\?(?:P<\w+>|<?[=!]|[a-zA-Z:>])|[\\()?+*{}|^$\[\]]")
_WORD = re.compile(r"[^\W\d_]{2,}|\W")
_MAX_UNITS, _MAX_BEGINS, _LONGER, _MATCHES = 26, 24, 150, 12
_FAILS_AT = "\0"


@dataclass(frozen=True)
class Shape:
    """A text of any size: *pump* again and again, after *begin*, and an *end* at which what matched so far may fail."""

    pump: str
    begin: str = ""
    end: str = _FAILS_AT

    def text(self, size: int) -> str:
        """About *size* characters."""
        return self.begin + (self.pump * (size // len(self.pump) + 1))[:size] + self.end


def shapes(pattern: Pattern) -> list[Shape]:
    """Hostile texts for *pattern*, always the same ones.

    Repeated are its own marks and words, every two of them, some of three or four, whole matches and parts of these.
    """
    known, matches = _units(pattern), _matches(pattern)
    chance = random.Random(repr(pattern.pattern))
    longer = ["".join(chance.choices(known, k=chance.choice((3, 3, 4)))) for _ in range(_LONGER)]
    parts = [
        part for match in matches for part in (match, match[:-1], match[: chance.randrange(len(match)) + 1]) if part
    ]
    pairs = [one + other for one in known for other in known]
    begins = list(dict.fromkeys((*known, *parts)))[:_MAX_BEGINS]
    return [
        *(Shape(pump) for pump in dict.fromkeys((*known, *pairs, *longer, *parts))),
        *(Shape(pump, begin) for begin in begins for pump in known),
        *(Shape(pump, end="") for pump in known),
    ]


def _units(pattern: Pattern) -> list[str]:
    """The pattern's own marks and words, and one text of each kind."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    marks = [each for each in source if not each.isalnum() and not each.isspace()]
    words = [each for each in _WORD.findall(_SYNTAX.sub("\n", source)) if each != "\n"]
    return list(dict.fromkeys((*_GENERAL[:6], *marks, *words[:40], *_GENERAL)))[:_MAX_UNITS]


def _matches(pattern: Pattern) -> list[str]:
    """Some texts that the pattern matches."""
    found: list[str] = []
    source = pattern.pattern
    readable = re.compile(source.decode("latin-1"), pattern.flags | re.ASCII) if isinstance(source, bytes) else pattern

    @settings(
        max_examples=_MATCHES,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.from_regex(readable))
    def collect(text: str) -> None:
        found.append(text)

    collect()
    return [each[:60] for each in dict.fromkeys(found) if each]
