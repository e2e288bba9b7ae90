"""Words around figures in English, Spanish and Indonesian, folded."""

import re
from collections.abc import Sequence
from typing import Literal

from utils.facts.folding import fold
from utils.facts.words import UNITS

Cue = Literal["sum", "mean", "largest", "smallest", "difference", "times", "about"]
Token = tuple[str, int, int]
"""A word, folded, and where it stands."""

_CUES: dict[Cue, tuple[str, ...]] = {
    "sum": (
        "total, totals, altogether, together, combined, sum, in all, overall",
        "suma, sumas, suman, en conjunto, juntos, juntas, en todo",
        "jumlahnya, seluruhnya, keseluruhan, bersama, digabung, gabungan",
    ),
    "mean": (
        "average, averages, averaged, avg, mean",
        "promedio, promedios, media, medias",
        "rata, rerata, rataan",
    ),
    "largest": (
        "most, highest, largest, biggest, greatest, longest, maximum, peak",
        "mayor, maximo, maxima, mas alto, mas alta, mas grande, mas largo, mas larga",
        "terbanyak, tertinggi, terbesar, terlama, terpanjang, maksimum",
    ),
    "smallest": (
        "least, lowest, smallest, fewest, shortest, minimum",
        "menor, minimo, minima, mas bajo, mas baja, mas pequeno, mas pequena, mas corto, mas corta",
        "tersedikit, terendah, terkecil, tersingkat, terpendek",
    ),
    "difference": (
        "difference, gap, range, exceeds, ahead, behind",
        "diferencia, rango, supera",
        "selisih, perbedaan, bedanya, rentang",
    ),
    "times": ("times, fold", "veces", "kali"),
    "about": (
        "about, around, nearly, almost, approximately, roughly, some, over, more than, less than, fewer than, at least",
        "up to, under, close to, unos, unas, casi, aproximadamente, cerca de, alrededor de, mas de, menos de, al menos",
        "sekitar, kira kira, hampir, kurang lebih, lebih dari, sedikitnya, mendekati, kurang dari",
    ),
}
_MORE = frozenset({"more", "fewer", "less", "higher", "lower", "mas", "menos", "lebih"})
_THAN = frozenset({"than", "que", "daripada", "dibanding", "dari"})
_SEPARATING = frozenset(
    {
        *("and", "while", "whereas", "but", "followed", "y", "e", "mientras", "pero", "seguido", "seguida"),
        *("dan", "sedangkan", "sementara", "tetapi", "tapi", "diikuti", "disusul"),
    }
)
_TOKEN = re.compile(r"\w+")
_PUNCTUATION = ";:()|—–,"
# Words for numbers that count nothing, or are something else as often.
_NO_FIGURES = frozenset(
    {
        *(
            "one",
            "uno",
            "una",
            "un",
            "satu",
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
        ),
        *(
            "ninth",
            "tenth",
            "once",
            "twice",
            "double",
            "couple",
            "pair",
            "dozen",
            "primero",
            "primera",
            "primer",
            "segundo",
        ),
        *(
            "segunda",
            "tercero",
            "tercera",
            "tercer",
            "cuarto",
            "cuarta",
            "quinto",
            "quinta",
            "pertama",
            "kedua",
            "ketiga",
        ),
        *(
            "keempat",
            "kelima",
            "keenam",
            "ketujuh",
            "kedelapan",
            "kesembilan",
            "kesepuluh",
            "sepasang",
            "lusin",
            "docena",
        ),
        *("sexto", "sexta", "septimo", "septima", "octavo", "octava", "noveno", "novena", "decimo", "decima", "puluh"),
    }
)
_SHORT_UNITS = {
    "min": "minute", "mins": "minute", "mnt": "minute", "hr": "hour", "hrs": "hour", "jam": "hour", "sec": "second",
    "secs": "second", "s": "second", "pct": "%", "perc": "%", "porcentaje": "%", "persentase": "%", "share": "%",
    "hari": "day", "ton": "ton", "tons": "ton", "kms": "km", "kgs": "kg",
}  # fmt: skip
_SCALES: Sequence[dict[str, float]] = (
    {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0, "week": 604_800.0},
    {"cm": 0.01, "m": 1.0, "km": 1000.0, "mile": 1609.344},
    {"kg": 1.0, "ton": 1000.0},
)


def split_tokens(text: str) -> list[Token]:
    """The words and runs of digits of *text*, folded."""
    return [(fold(match[0]), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def find_cues(tokens: Sequence[Token]) -> list[tuple[Cue, int, int]]:
    """The words that say what a figure is, and where they stand."""
    cues: list[tuple[Cue, int, int]] = []
    words = [word for word, _, _ in tokens]
    for index, word in enumerate(words):
        for length in (3, 2, 1):
            cue = _CUE_WORDS.get(tuple(words[index : index + length]))
            if cue is not None:
                cues.append((cue, tokens[index][1], tokens[min(index + length, len(words)) - 1][2]))
                break
        if word in _MORE and _is_compared(words[index + 1 : index + 5]):
            cues.append(("difference", tokens[index][1], tokens[index][2]))
    return cues


def _is_compared(following: Sequence[str]) -> bool:
    """Whether "more" goes on as in "more machines than Medan", not as in "more than 3"."""
    than = next((index for index, word in enumerate(following[:-1]) if word in _THAN), None)
    return than is not None and not following[than + 1].isdigit()


def find_separators(text: str, tokens: Sequence[Token]) -> list[int]:
    """Where one part of a sentence ends and another begins."""
    marks = [
        index
        for index, character in enumerate(text)
        if character in _PUNCTUATION and not (character in ",:" and text[index + 1 : index + 2].isdigit())
    ]
    return sorted([*marks, *(start for word, start, _ in tokens if word in _SEPARATING)])


def is_no_figure(word: str, language: str) -> bool:
    """Whether a word for a number counts nothing."""
    return word in _NO_FIGURES and not (word == "once" and language == "es")


def read_units(words: str) -> frozenset[str]:
    """The units that the name of a column, or what is said of it, speaks of."""
    tokens = fold(words).replace("_", " ").replace("%", " % ").replace("€", " € ").replace("$", " $ ").split()
    bare = (token.strip(".,;:()[]\"'") for token in tokens)
    return frozenset(unit for each in bare if (unit := _SHORT_UNITS.get(each) or UNITS.get(each)))


def convert(unit: str, other: str) -> float:
    """How many of *other* one *unit* is; 0 where neither is the other in another size."""
    return next((scale[unit] / scale[other] for scale in _SCALES if unit in scale and other in scale), 0.0)


_CUE_WORDS: dict[tuple[str, ...], Cue] = {
    tuple(words.split()): cue for cue, lists in _CUES.items() for listed in lists for words in listed.split(",")
}
