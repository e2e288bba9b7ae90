"""How questions are answered in their own words, in English, Spanish and Indonesian.

Rules have understood every word of such a question, so what it says of the rows may be said of them: "How many machines
are due this month?", "15 machines are due this month." A phrase has the question's form and what is said: `{what}` and
`{rest}` are its own words (`{What}` with a capital), the others are of the result.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["count", "value", "named", "rows", "groups"]
"""A number of rows; one cell; the names of rows that have most of something; rows; figures for each of something."""
_LONGEST = 300  # characters of a question that is repeated


@dataclass(frozen=True, slots=True)
class Phrase:
    """A form of questions, and what answers it; `none` and `one` where the number is that, "" to say it otherwise."""

    asked: re.Pattern[str]
    said: str
    none: str = ""
    one: str = ""


_BE = "(?P<verb>is|are|was|were)"
_SHOW = r"(?:please )?(?:show|give|tell|list|find|name)(?: me)?(?: all)?"
_MUESTRA = r"(?:por favor,? )?(?:muestra|mu[eé]strame|dime|dame|lista|enumera)(?: tod[oa]s)?"
_TAMPILKAN = r"(?:tolong )?(?:sebutkan|tampilkan|daftar)(?: semua)?"
_EACH = r"(?:for (?:each|every)|in each|of each|per|by)"
_CADA = r"(?:por|para cada|en cada|de cada|cada|seg[uú]n)"
_BERAPA = r"(?:ada )?(?:berapa(?:kah)?(?: banyak| jumlah)?|jumlah)"
PHRASES: Mapping[str, Mapping[Kind, Sequence[Phrase]]] = {
    "en": {
        "count": (
            Phrase(
                re.compile(r"(?i)^how many (?P<what>.+?) (?:are|is|were|was) there(?P<rest> .+)?"),
                "There are {n} {what}{rest}.",
                "There are no {what}{rest}.",
                "{What}{rest}: 1.",
            ),
            Phrase(
                re.compile(r"(?i)^how many (?P<what>.+?) (?:do|did|does) (?:we|you|they|i) have(?P<rest> .+)?"),
                "There are {n} {what}{rest}.",
                "There are no {what}{rest}.",
                "{What}{rest}: 1.",
            ),
            Phrase(
                re.compile(r"(?i)^how many (?P<what>(?!.*\b(?:do|did|does)\b).+)"),
                "{n} {what}.",
                "No {what}.",
            ),
        ),
        "value": (
            Phrase(
                re.compile(
                    rf"(?i)^(?:what|when|which|who|how (?:much|long|old|high|big|large|far)) {_BE} (?P<what>.+)"
                ),
                "{What} {verb} {value}.",
            ),
            Phrase(re.compile(r"(?i)^how many (?P<what>(?!.*\b(?:do|did|does)\b).+)"), "{value} {what}."),
            Phrase(re.compile(rf"(?i)^{_SHOW} (?P<what>.+)"), "{What}: {value}."),
        ),
        "named": (
            Phrase(re.compile(rf"(?i)^(?:what|which|who) {_BE} (?P<what>.+)"), "{What} {verb} {names}."),
            Phrase(
                re.compile(r"(?i)^(?:what|which) .+? (?P<rest>(?:has|have|had|is|are|was|were) .+)"),
                "{names} {rest}.",
            ),
        ),
        "rows": (
            Phrase(re.compile(r"(?i)^(?:what|which|who) (?:is|are|was|were) (?P<what>.+)"), "{What} ({n}):"),
            Phrase(
                re.compile(r"(?i)^(?:what|which) (?P<what>(?!.*\b(?:do|did|does)\b).+)"),
                "{n} {what}:",
                "No {what}.",
            ),
            Phrase(re.compile(rf"(?i)^{_SHOW} (?P<what>.+)"), "{What} ({n}):"),
        ),
        "groups": (
            Phrase(
                re.compile(rf"(?i)^how many (?P<what>.+?)(?: (?:are|is) there| do we have)?(?P<rest> {_EACH} .+)"),
                "{What}{rest}: {summary}.",
            ),
            Phrase(re.compile(rf"(?i)^(?:what|how much) {_BE} (?P<what>.+)"), "{What}: {summary}."),
            Phrase(re.compile(rf"(?i)^{_SHOW} (?P<what>.+)"), "{What}: {summary}."),
        ),
    },
    "es": {
        "count": (
            Phrase(
                re.compile(r"(?i)^cu[aá]nt[oa]s (?P<what>.+?) (?:hay|tenemos|existen)(?P<rest> .+)?"),
                "Hay {n} {what}{rest}.",
                "No hay {what}{rest}.",
                "{What}{rest}: 1.",
            ),
            Phrase(re.compile(r"(?i)^cu[aá]nt[oa]s (?P<what>.+)"), "{n} {what}.", "0 {what}.", "{What}: 1."),
        ),
        "value": (
            Phrase(
                re.compile(
                    r"(?i)^(?:cu[aá]l(?:es)?|cu[aá]ndo|qu[eé]|cu[aá]nto) (?P<verb>es|son|fue|era|ser[aá]) (?P<what>.+)"
                ),
                "{What} {verb} {value}.",
            ),
            Phrase(re.compile(r"(?i)^cu[aá]nt[oa]s (?P<what>.+)"), "{value} {what}."),
            Phrase(re.compile(rf"(?i)^{_MUESTRA} (?P<what>.+)"), "{What}: {value}."),
        ),
        "named": (
            Phrase(
                re.compile(r"(?i)^(?:cu[aá]l(?:es)?|qu[eé]|qui[eé]n) (?P<verb>es|son|fue|era) (?P<what>.+)"),
                "{What} {verb} {names}.",
            ),
            Phrase(
                re.compile(r"(?i)^(?:qu[eé]|cu[aá]l(?:es)?) .+? (?P<rest>(?:tienen?|tuvo|es|son|est[aá]n?) .+)"),
                "{names} {rest}.",
            ),
        ),
        "rows": (
            Phrase(
                re.compile(r"(?i)^(?:cu[aá]l(?:es)?|qu[eé]|qui[eé]n(?:es)?) (?:es|son|fue|era) (?P<what>.+)"),
                "{What} ({n}):",
            ),
            Phrase(re.compile(r"(?i)^(?:qu[eé]|cu[aá]les) (?P<what>.+)"), "{n} {what}:"),
            Phrase(re.compile(rf"(?i)^{_MUESTRA} (?P<what>.+)"), "{What} ({n}):"),
        ),
        "groups": (
            Phrase(
                re.compile(rf"(?i)^cu[aá]nt[oa]s (?P<what>.+?)(?: hay| tenemos| existen)?(?P<rest> {_CADA} .+)"),
                "{What}{rest}: {summary}.",
            ),
            Phrase(
                re.compile(r"(?i)^(?:cu[aá]l(?:es)?|cu[aá]nto|qu[eé]) (?:es|son|fue|era) (?P<what>.+)"),
                "{What}: {summary}.",
            ),
            Phrase(re.compile(rf"(?i)^{_MUESTRA} (?P<what>.+)"), "{What}: {summary}."),
        ),
    },
    "id": {
        "count": (
            Phrase(
                re.compile(rf"(?i)^{_BERAPA} (?P<what>.+?)(?: yang ada| ada)?"),
                "Ada {n} {what}.",
                "Tidak ada {what}.",
            ),
        ),
        "value": (
            Phrase(
                re.compile(r"(?i)^(?:berapa(?:kah)?|apa(?:kah)?|kapan(?:kah)?) (?P<what>.+)"),
                "{What} adalah {value}.",
            ),
            Phrase(re.compile(rf"(?i)^{_TAMPILKAN} (?P<what>.+)"), "{What}: {value}."),
        ),
        "named": (
            Phrase(re.compile(r"(?i)^.+? mana(?:kah)?(?: saja)? (?:yang )?(?P<rest>.+)"), "{names} {rest}."),
            Phrase(
                re.compile(r"(?i)^(?:apa(?:kah)?|siapa(?:kah)?|mana(?:kah)?) (?P<what>.+)"),
                "{What} adalah {names}.",
            ),
        ),
        "rows": (
            Phrase(
                re.compile(r"(?i)^(?P<what>.+?) (?:mana|apa)(?:kah)?(?: saja)?(?P<rest> .+)"),
                "{n} {what}{rest}:",
                "Tidak ada {what}{rest}.",
            ),
            Phrase(
                re.compile(rf"(?i)^(?:{_TAMPILKAN}|apa saja) (?P<what>.+)"),
                "{What} ({n}):",
                "Tidak ada {what}.",
            ),
        ),
        "groups": (
            Phrase(re.compile(rf"(?i)^{_BERAPA} (?P<what>.+)"), "{What}: {summary}."),
            Phrase(re.compile(rf"(?i)^{_TAMPILKAN} (?P<what>.+)"), "{What}: {summary}."),
        ),
    },
}
_PLAIN = re.compile(r"[\w\s',.’\"“”«»&/%+-]+")
_ASKS = re.compile(
    r"^(?:how|what|which|when|who|whose|where|is|are|do|does|did|can|please|show|give|tell|list|find|name"
    r"|cu[aá]l|cu[aá]les|cu[aá]nt[oa]s?|cu[aá]ndo|qu[eé]|qui[eé]n|qui[eé]nes|hay|dime|dame|muestra|mu[eé]strame"
    r"|berapa|berapakah|apa|apakah|mana|siapa|kapan|ada|adakah|sebutkan|tampilkan)\b",
    re.IGNORECASE,
)


def read_plainly(question: str) -> str:
    """*question* without its marks, for an answer to repeat; "" where it holds more than words."""
    bare = " ".join(question.split()).strip(" ¿?¡!.:;")
    return bare if len(bare) <= _LONGEST and _PLAIN.fullmatch(bare) else ""


def is_statement(bare: str) -> bool:
    """Whether it asks by what it names alone: "machines by status"."""
    return not _ASKS.match(bare) and "mana" not in bare.split()
