"""A question of two parts, such as one about figures and one about what documents say."""

import re
from collections.abc import Iterator
from typing import Any

from utils.data_files import load_json
from utils.facts.folding import fold

_LONGEST, _MAX_CUTS, _MIN_WORDS = 600, 8, 3  # characters, cuts, words
_TABLES: dict[str, Any] = load_json("agents.tools", "question_parts.json")
_JOINING_WORDS = "|".join(_TABLES["joining"].split())
_CUT = re.compile(rf"[?;.,](?= )|(?<= )(?:{_JOINING_WORDS})(?= )", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_JOINING = re.compile(rf"^(?:{_JOINING_WORDS})\b", re.IGNORECASE)
_ASKS = frozenset(word for words in _TABLES["asks"].values() for word in words.split())


def split_parts(question: str) -> Iterator[tuple[str, str]]:
    """The two parts, for each place where *question* may be cut into two that each ask or name something."""
    text = " ".join(question.split())
    cuts = list(_CUT.finditer(text)) if len(text) <= _LONGEST else []
    for cut in cuts[:_MAX_CUTS]:
        parts = tuple(map(_trim, (text[: cut.start()], text[cut.end() :])))
        if all(len(part.split()) >= _MIN_WORDS for part in parts):
            yield parts[0], parts[1]


def asks_something(part: str) -> bool:
    """Whether a part is a question of its own: it has a word that asks, near its beginning."""
    return not _ASKS.isdisjoint(_WORD.findall(fold(part))[:_MIN_WORDS])


def _trim(part: str) -> str:
    bare = part.strip(" ,;.")
    joining = _JOINING.match(bare)
    return bare[joining.end() :].strip(" ,;.") if joining else bare
