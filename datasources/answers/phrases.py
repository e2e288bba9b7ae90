"""How questions are answered in their own words, in English, Spanish and Indonesian.

Rules have understood every word of such a question, so what it says of the rows may be said of them: "How many machines
are due this month?", "15 machines are due this month." A phrase has the question's form and what is said: `{what}` and
`{rest}` are its own words (`{What}` with a capital), the others are of the result.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from utils.data_files import load_json

Kind = Literal["count", "value", "named", "rows", "groups"]
"""A number of rows; one cell; the names of rows that have most of something; rows; figures for each of something."""
_LONGEST = 300  # characters of a question that is repeated


@dataclass(frozen=True, slots=True)
class Phrase:
    """A form of questions, and what answers it; `none` and `one` where the number is that, "" to say it otherwise."""

    pattern: re.Pattern[str]
    sentence: str
    none: str = ""
    one: str = ""


_TABLES: dict[str, Any] = load_json("datasources.answers", "phrases.json")
_PLAIN = re.compile(r"[\w\s',.’\"“”«»&/%+-]+")
_ASKS = re.compile(rf"^(?:{_TABLES['asks']})\b", re.IGNORECASE)


def _fill(form: str, parts: Mapping[str, str]) -> str:
    """A form of questions, in which `<name>` stands for what several have."""
    for name, part in parts.items():
        form = form.replace(f"<{name}>", part)
    return form


_PATTERNS = {
    language: {
        kind: [re.compile(_fill(each["asked"], _TABLES["parts"][language]), re.IGNORECASE) for each in forms]
        for kind, forms in kinds.items()
    }
    for language, kinds in _TABLES["phrases"].items()
}


@cache
def get_phrases(kind: Kind, language: str) -> Sequence[Phrase]:
    """The phrases of *language* in the order in which they are tried, else the English ones."""
    code = language if language in _PATTERNS else "en"
    return [
        Phrase(pattern, each["said"], each.get("none", ""), each.get("one", ""))
        for pattern, each in zip(_PATTERNS[code][kind], _TABLES["phrases"][code][kind], strict=True)
    ]


def read_plainly(question: str) -> str:
    """*question* without its marks, for an answer to repeat; "" where it holds more than words."""
    bare = " ".join(question.split()).strip(" ¿?¡!.:;")
    return bare if len(bare) <= _LONGEST and _PLAIN.fullmatch(bare) else ""


def is_statement(bare: str) -> bool:
    """Whether it asks by what it names alone: "machines by status"."""
    return not _ASKS.match(bare) and "mana" not in bare.split()


def speak_of_several(rest: str, language: str) -> str:
    """*rest* of a sentence, which begins with its verb, where several things are what it speaks of."""
    verb, blank, more = rest.partition(" ")
    return f"{_TABLES['several'].get(language, {}).get(verb, verb)}{blank}{more}"
