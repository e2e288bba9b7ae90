"""The numbers of an answer's marks as a visitor reads them: 1 to n in the order in which they appear.

The service numbers passages in the order in which it found them.
"""

import re
from collections.abc import Iterable, Mapping

from clients.run_events import Citation

_MARK = re.compile(r"\[(\d{1,3})\]")


def list_citations(citations: Iterable[Citation]) -> list[tuple[int, Citation]]:
    """Each citation with the number that is shown; they come in the order of their first use."""
    return list(enumerate({each.number: each for each in citations}.values(), 1))


def number_citations(citations: Iterable[Citation]) -> Mapping[int, int]:
    """For each citation's own number the one that is shown."""
    return {each.number: shown for shown, each in list_citations(citations)}


def number_marks(text: str) -> Mapping[int, int]:
    """The same for the marks of an answer whose citations are not known yet."""
    own = dict.fromkeys(int(found[1]) for found in _MARK.finditer(text))
    return {number: shown for shown, number in enumerate(own, 1)}


def renumber(text: str, numbers: Mapping[int, int]) -> str:
    """*text* with the numbers that are shown; marks that are not among *numbers* stay."""
    return _MARK.sub(lambda found: f"[{numbers.get(int(found[1]), found[1])}]", text)
