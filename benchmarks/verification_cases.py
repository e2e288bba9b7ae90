"""Cases for `benchmarks/verification.py`: sentences with the passage they cite, true and false, built by rule.

True: a sentence of the passage `verbatim`; a piece of one, or its clauses in another order (`reordered`); and in other
words (`paraphrased`): statements made of a question and its answer, or a sentence with at least two changes of format,
synonym or voice. False: one of the true ones, verbatim or paraphrased, with a wrong number, date or name that stands
nowhere in the passage, or with a negation put in or taken out; or a sentence of a passage of another article. Apart,
since no bar holds for them: a number or a name of the same passage in the wrong place, and sentences of another passage
of the same article.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.verification_rewording import reworded, statement_of
from providers.chat.sentences import split_sentences

Row = dict[str, Any]

TRUE = ("verbatim", "reordered", "paraphrased")
FALSE = ("wrong number", "wrong date", "wrong name", "negation", "other document")
HARD = ("number of the passage", "name of the passage", "other passage of the article")
_YEAR = re.compile(
    r"(?<=\b[Ii]n )(1\d{3}|20[012]\d)\b|(?<=\b[Ee]n )(1\d{3}|20[012]\d)\b|(?<=tahun )(1\d{3}|20[012]\d)\b"
)
_MONTHS_NAMED = (
    "January February March April May June July August September October November December enero febrero marzo abril "
    "mayo junio julio agosto septiembre octubre noviembre diciembre Januari Februari Maret Mei Juni Juli Agustus "
    "Oktober Desember"
)
_MONTHS = _MONTHS_NAMED.split()
_DATE = re.compile(rf"\b(\d{{1,2}} (?:de )?)?({'|'.join(_MONTHS)})\b(?: (\d{{1,2}})\b)?(?:,? (?:de )?\d{{4}})?")
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,3}(?:[.,]\d{3})+(?![\w.,])|(?<![\w.,/-])\d+(?:[.,]\d+)?(?![\w/]|[.,]\d)")
_NAME = re.compile(r"(?<=[a-zá-ú,] )(?:[A-ZÁ-Ú][a-zá-ú]{2,}(?: [A-ZÁ-Ú][a-zá-ú]{2,})*)")
_OPENING_NAME = re.compile(r"[A-ZÁ-Ú][a-zá-ú]{2,}(?: [A-ZÁ-Ú][a-zá-ú]{2,})*")
_DENY = {
    "en": r"\b(is|was|are|were|can|could|has|have|had|will|would|may|must)\b(?! not)",
    "es": r"\b(es|fue|son|fueron|era|eran|está|están|tiene|tienen|puede|pueden|había|hay)\b",
    "id": r"\b(adalah|merupakan|dapat|memiliki|terletak|menjadi|berada|dikenal|digunakan|terdiri|dilakukan)\b",
}
_DENIED = {"en": r"\1 not", "es": r"no \1", "id": r"tidak \1"}
_AFFIRM = {
    "en": r"\b(is|was|are|were|can|could|does|do|did|has|have|had|will|would) not\b",
    "es": r"\bno (?=es|fue|son|se|puede|tiene|hay|est)",
    "id": r"\b(tidak|bukan) ",
}
_SHORTEST, _LONGEST = 40, 300  # characters of a sentence that is used


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, the passage it cites (a row of the corpus), what it is, and what it was made of."""

    kind: str
    language: str
    sentence: str
    passage: Row
    base: str = "verbatim"

    @property
    def is_true(self) -> bool:
        """Whether the passage says it."""
        return self.kind in TRUE


def build_cases(sets: dict[str, dict[str, Sequence[Row]]], *, each: int, seed: int) -> list[Case]:
    """*each* cases at most of every kind out of every set, which has `corpus` and `queries`."""
    cases: list[Case] = []
    for name, items in sets.items():
        maker = _Maker(items["corpus"], items["queries"], random.Random(f"verification {name} {seed}"))
        for kind in (*TRUE, *FALSE, *HARD):
            cases += maker.make(kind, each)
    return cases


class _Maker:
    """Makes cases out of one set."""

    def __init__(self, corpus: Sequence[Row], queries: Sequence[Row], rng: random.Random) -> None:
        self._rng, self._corpus = rng, list(corpus)
        self._language = corpus[0]["lang"]
        self._sentences = [(row, text) for row in corpus for text in _usable(row["text"])]
        self._statements = list(self._made_of_questions(queries))
        self._names = sorted({name for row, text in self._sentences for name in _NAME.findall(text)})

    def make(self, kind: str, count: int) -> list[Case]:
        """Up to *count* cases of *kind*, each of another passage."""
        make: Callable[[Row, str], str | None] = _MAKERS[kind].__get__(self)
        found: dict[str, Case] = {}
        bases = [("verbatim", self._sentences), ("statement", self._statements)]
        if kind in ("verbatim", "reordered", "number of the passage", "name of the passage"):
            bases = bases[:1]
        pools = [(base, self._rng.sample(pairs, len(pairs))) for base, pairs in bases]
        for base, pairs in pools:
            wanted = count if len(pools) == 1 or base == "statement" else count // 2
            for row, text in pairs:
                if len(found) >= wanted:
                    break
                made = make(row, text) if kind != "paraphrased" else self._paraphrased(base, text)
                if made and row["id"] not in found:
                    found[row["id"]] = Case(kind, self._language, made, row, base)
        return list(found.values())

    def _made_of_questions(self, queries: Sequence[Row]) -> Iterator[tuple[Row, str]]:
        passages = {row["id"]: row for row in self._corpus}
        for query in queries:
            if query["answerable"]:
                said = statement_of(query["question"], query["answers"][0], self._language)
                if said and len(said) < _LONGEST:
                    yield passages[query["gold"][0]], said

    def _paraphrased(self, base: str, text: str) -> str | None:
        return text if base == "statement" else reworded(text, self._language)

    def _verbatim(self, row: Row, text: str) -> str | None:
        return text

    def _reordered(self, row: Row, text: str) -> str | None:
        clauses = re.split(r", ", text.rstrip("."))
        if len(clauses) < 2:
            return None
        if self._rng.random() < 0.5:
            longest = max(clauses, key=len)
            return f"{longest}." if len(longest) >= _SHORTEST else None
        return f"{', '.join([*clauses[1:], clauses[0]])}."

    def _wrong_number(self, row: Row, text: str) -> str | None:
        found = [each for each in _NUMBER.finditer(text) if not _YEAR.search(text[: each.end()][-12:])]
        if not found or _DATE.search(text):
            return None
        spot = self._rng.choice(found)
        wrong = self._other_number(spot[0], row["text"])
        return _put(text, spot, wrong) if wrong else None

    def _wrong_date(self, row: Row, text: str) -> str | None:
        if spot := _DATE.search(text):
            month = self._rng.choice([each for each in self._months() if each not in row["text"]])
            if any(map(str.isdigit, spot[0])):
                return text[: spot.start(2)] + month + text[spot.end(2) :]
        found = list(_YEAR.finditer(text))
        if not found:
            return None
        at = self._rng.choice(found)
        years = [
            str(int(at[0]) + step) for step in (-20, -11, -3, -1, 1, 2, 10) if str(int(at[0]) + step) not in row["text"]
        ]
        return text[: at.start()] + self._rng.choice(years) + text[at.end() :] if years else None

    def _wrong_name(self, row: Row, text: str) -> str | None:
        found = [each for each in _NAME.finditer(text) if each[0] not in _MONTHS]
        opening = _OPENING_NAME.match(text)
        if opening and opening[0] in _NAME.findall(f"{row['text']} the {row['title']}") and len(opening[0]) > 3:
            found.append(opening)
        if not found:
            return None
        spot = self._rng.choice(found)
        known = row["text"].casefold() + row["title"].casefold()
        for name in self._rng.sample(self._names, 50):
            if name not in _MONTHS and not any(word.casefold() in known for word in name.split()):
                return _put(text, spot, name)
        return None

    def _negation(self, row: Row, text: str) -> str | None:
        language = self._language
        if found := re.search(_AFFIRM[language], text):
            kept = found[1] if language == "en" else ""
            return (text[: found.start()] + kept + text[found.end() :]).replace("  ", " ")
        denied = re.sub(_DENY[language], _DENIED[language], text, count=1)
        return denied if denied != text else None

    def _other_document(self, row: Row, text: str) -> str | None:
        others = [
            (other, said) for other, said in self._rng.sample(self._sentences, 20) if _article(other) != _article(row)
        ]
        return others[0][1] if others else None

    def _number_of_the_passage(self, row: Row, text: str) -> str | None:
        found = list(_NUMBER.finditer(text))
        others = [each for each in _NUMBER.findall(row["text"]) if each not in text]
        if not found or not others:
            return None
        spot = self._rng.choice(found)
        return _put(text, spot, self._rng.choice(others))

    def _name_of_the_passage(self, row: Row, text: str) -> str | None:
        found = list(_NAME.finditer(text))
        others = [each for each in _NAME.findall(row["text"]) if each not in text]
        if not found or not others:
            return None
        spot = self._rng.choice(found)
        return _put(text, spot, self._rng.choice(others))

    def _other_passage(self, row: Row, text: str) -> str | None:
        if not row["title"]:
            return None
        others = [said for other, said in self._sentences if _article(other) == _article(row) and other is not row]
        return self._rng.choice(others) if others else None

    def _other_number(self, digits: str, known: str) -> str | None:
        for _ in range(20):
            spot = self._rng.choice([at for at, char in enumerate(digits) if char.isdigit()])
            wrong = digits[:spot] + self._rng.choice("123456789") + digits[spot + 1 :]
            if wrong != digits and not re.search(rf"(?<!\d){re.escape(wrong)}(?!\d)", known):
                return wrong
        return None

    def _months(self) -> Sequence[str]:
        return {"en": _MONTHS[:12], "es": _MONTHS[12:24], "id": [*_MONTHS[24:], "September", "November"]}[
            self._language
        ]


_MAKERS = {
    "verbatim": _Maker._verbatim,
    "reordered": _Maker._reordered,
    "paraphrased": _Maker._verbatim,
    "wrong number": _Maker._wrong_number,
    "wrong date": _Maker._wrong_date,
    "wrong name": _Maker._wrong_name,
    "negation": _Maker._negation,
    "other document": _Maker._other_document,
    "number of the passage": _Maker._number_of_the_passage,
    "name of the passage": _Maker._name_of_the_passage,
    "other passage of the article": _Maker._other_passage,
}


def _put(text: str, spot: re.Match[str], other: str) -> str:
    return f"{text[: spot.start()]}{other}{text[spot.end() :]}"


def _usable(text: str) -> list[str]:
    said = (" ".join(re.sub(r"\[\d+\]", "", each.text).split()) for each in split_sentences(text))
    return [each for each in said if _SHORTEST <= len(each) <= _LONGEST and each.endswith(".")]


def _article(row: Row) -> str:
    return str(row["title"] or row["id"])
