"""The values that a sentence states, by kind: amounts, times, dates, places, telephone numbers, addresses, persons."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agents.conflicts.words import LABELS, OWNERS, PHONES, PLACES, ROLES, TIMES
from agents.verification.facts import find_facts
from utils.facts.folding import fold
from utils.facts.names import Name
from utils.facts.numbers import Number
from utils.facts.polarity import tokenize
from utils.facts.words import SPELLED, WEEKDAYS

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_PHONE = re.compile(r"(?<![\w.,])\+?\(?\d(?:[ ().-]{0,2}\d){6,14}(?![\w])")
_SHORT_PHONE = re.compile(r"\b\d{3,6}\b")
_CODE = re.compile(r"\b(?:[^\W\d_]{1,3}[-.]?\d{1,4}[^\W\d_]?|\d{1,4}-?[^\W\d_])\b")
_LETTER_OR_NUMBER = re.compile(
    r"\s{0,2}(?:(?:no\.?|nomor|número|n\.?º|nº)\s{0,2})?(\d{1,4}[^\W\d_]?|[A-Z](?:[-.]?\d{1,4})?)\b"
)
_GOES_ON = re.compile(r"[.,:–-]\d")  # an hour, a range or a decimal
_YEAR = re.compile(r"(?:19|20)\d\d")
_BEFORE_HOUR = re.compile(r"(?:pukul|jam|at|las|la|until|to|from|hasta|sampai|hingga|desde|a)\s{0,2}$", re.IGNORECASE)
_AFTER_HOUR = re.compile(r"\s{0,2}(?:[ap]\.?\s?m\b|h\b|hrs?\b|horas\b|wi[bt]|uhr)", re.IGNORECASE)
_MINUTES = {"second": 1 / 60, "minute": 1, "hour": 60, "day": 1440, "week": 10_080, "month": 43_800, "year": 525_600}
NUMBER, COUNT = "number", "number of "  # kinds; the second one goes on with what is counted
_SUBJECT_TOKENS = 3  # a place that stands so early is what the sentence is about
_SHORT_SENTENCE = 4  # words


@dataclass(frozen=True, slots=True)
class Value:
    """One value: what it may mean, and where it stands in its sentence."""

    meanings: frozenset[object]
    start: int
    end: int

    def agrees(self, other: "Value") -> bool:
        """Whether both may mean the same."""
        return not self.meanings.isdisjoint(other.meanings)


@dataclass(frozen=True, slots=True)
class Stated:
    """What a sentence states, in order, by kind; and the years, days of the week and owners that it holds for."""

    values: Mapping[str, Sequence[Value]]
    years: frozenset[int]
    weekdays: frozenset[int]
    owners: frozenset[tuple[str, str]]
    spans: Sequence[tuple[int, int]]


def may_state_values(text: str) -> bool:
    """A quick look whether *text* states any value, which most sentences do not."""
    if "@" in text or any(map(str.isdigit, text)):
        return True
    return not _TELLING.isdisjoint(word for word, _ in tokenize(text))


def read_values(text: str) -> Stated:
    """All values of *text*."""
    return _Reader(text).read()


@dataclass(frozen=True, slots=True)
class Label:
    """A number or letter that is part of a name, of a *kind* such as "line"; its word is at *place* in the sentence."""

    kind: str
    name: str
    place: int
    start: int
    end: int


def find_labels(text: str, tokens: Sequence[tuple[str, int]]) -> Iterator[Label]:
    """The labels in *text* with its *tokens*: "line 5", "grade B", "MATH 101"; years are none."""
    for place, (word, start) in enumerate(tokens):
        end = start + len(word)
        kind = LABELS.get(word) or ("code" if _is_code(text, start, end) else "")
        match = _LETTER_OR_NUMBER.match(text, end) if kind else None
        if not match or _YEAR.fullmatch(match[1]) or _GOES_ON.match(text, match.end()):
            continue
        if kind != "code" or match[1][0].isdigit():
            named = fold(match[1]).replace("-", "").replace(".", "")
            yield Label(kind, f"{word} {named}" if kind == "code" else named, place, *match.span(1))


def _is_code(text: str, start: int, end: int) -> bool:
    """Whether the word is written in capitals, as in "MATH 101", and not all of *text* is."""
    word = text[start:end]
    return len(word) > 1 and word.isalpha() and word.isupper() and not text.isupper()


class _Reader:
    """Takes the values out of a text one kind after the other: what one has taken no other takes."""

    def __init__(self, text: str) -> None:
        self._text, self._facts, self._tokens = text, find_facts(text), tokenize(text)
        self._values: dict[str, list[Value]] = {}
        self._spans: list[tuple[int, int]] = []
        self._years: set[int] = set()
        self._weekdays: set[int] = set()
        self._owners: set[tuple[str, str]] = set()

    def read(self) -> Stated:
        words = {word for word, _ in self._tokens}
        self._take("mail", ((match[0].casefold(), match.span()) for match in _MAIL.finditer(self._text)))
        self._take("phone", ((_select_digits(match[0]), match.span()) for match in self._iter_phones(words)))
        self._read_dates()
        self._read_places()
        self._read_labels()
        self._read_numbers()
        self._take("code", ((fold(match[0]).replace("-", ""), match.span()) for match in _CODE.finditer(self._text)))
        if words & ROLES:
            self._read_persons()
        return Stated(
            {kind: sorted(match, key=lambda value: value.start) for kind, match in self._values.items()},
            frozenset(self._years),
            frozenset(self._weekdays),
            frozenset(self._owners),
            self._spans,
        )

    def _iter_phones(self, words: set[str]) -> Iterator[re.Match[str]]:
        yield from (match for match in _PHONE.finditer(self._text) if self._looks_like_phone(match, words))
        if words & PHONES:
            yield from _SHORT_PHONE.finditer(self._text)

    def _looks_like_phone(self, match: re.Match[str], words: set[str]) -> bool:
        is_marked = match[0].startswith(("+", "0", "(")) or bool(words & PHONES)
        spans = ((date.start, date.end) for date in self._facts.dates)
        return is_marked and not any(start < match.end() and match.start() < end for start, end in spans)

    def _read_dates(self) -> None:
        for date in self._facts.dates:
            if date.weekdays:
                self._weekdays |= date.weekdays
                self._spans.append((date.start, date.end))
            else:
                self._add("date", date.readings, date.start, date.end)

    def _read_places(self) -> None:
        """Numbers and letters that name a room or a building; those that a sentence begins with are its subject."""
        for index, (word, start) in enumerate(self._tokens):
            if word not in PLACES or not (match := _LETTER_OR_NUMBER.match(self._text, start + len(word))):
                continue
            named = fold(match[1]).replace("-", "").replace(".", "")
            if index < _SUBJECT_TOKENS and len(self._tokens) > _SHORT_SENTENCE and self._has_more(match.end()):
                self._owners.add((PLACES[word], named))
                self._spans.append(match.span())
            else:
                self._add(PLACES[word], {named}, *match.span())

    def _read_labels(self) -> None:
        """Numbers that are part of a name, "line 5"; they are what a sentence states only where it has no others."""
        labels = [each for each in find_labels(self._text, self._tokens) if not self._is_amount(each)]
        spans = [(label.start, label.end) for label in labels]
        has_values = any(not _is_in(number, spans) for number in self._facts.numbers) or bool(self._values)
        for label in labels:
            if has_values or label.place < _SUBJECT_TOKENS:
                self._owners.add((label.kind, label.name))
                self._spans.append((label.start, label.end))
            else:
                self._add(label.kind, {label.name}, label.start, label.end)

    def _is_amount(self, label: "Label") -> bool:
        """Whether its number has a unit, "by bus 20 minutes", or was taken for something else."""
        return any(start < label.end and label.start < end for start, end in self._spans) or any(
            number.unit and number.start < label.end and label.start < number.end for number in self._facts.numbers
        )

    def _has_more(self, end: int) -> bool:
        return any(number.start >= end for number in self._facts.numbers)

    def _read_numbers(self) -> None:
        for number in self._facts.numbers:
            if number.unit == "" and _YEAR.fullmatch(number.text):
                self._years.add(int(number.text))
                self._spans.append((number.start, number.end))
            elif kind := self._find_kind(number):
                meanings = (
                    _iter_clock_values(number)
                    if kind == "clock"
                    else _iter_amounts(number, in_hours=kind == "duration")
                )
                self._add(kind, meanings, number.start, number.end)

    def _find_kind(self, number: Number) -> str:
        is_clock = any(kind == "t" for kind, _ in number.keys)
        if is_clock and ("." not in number.text or self._is_hour(number)):
            return "clock"
        following = next((word for word, start in self._tokens if start >= number.end), "")
        if number.unit in _MINUTES or following == "jam":
            return "duration"
        if following in TIMES or number.text in _TWICE:
            return "times"
        if number.is_weak and not number.unit and number.text not in _COUNTING:
            return ""
        # Books are compared with books.
        return number.unit or (f"{COUNT}{following[:_STEM]}" if following else "" if number.is_weak else NUMBER)

    def _is_hour(self, number: Number) -> bool:
        before = _BEFORE_HOUR.search(self._text, max(0, number.start - 12), number.start)
        return before is not None or _AFTER_HOUR.match(self._text, number.end) is not None

    def _read_persons(self) -> None:
        for group in _group_names(self._facts.names):
            start, end = group[0].start, group[-1].end
            before = [word for word, at in self._tokens if at < start][-2:]
            is_titled = bool(before) and before[-1] in _TITLES
            is_owner = any(word in OWNERS for word in before) or group[0].key in OWNERS
            if (len(group) > 1 or is_titled) and not is_owner:
                self._add("person", {name.key for name in group}, start, end)

    def _take(self, kind: str, values: Iterable[tuple[str, tuple[int, int]]]) -> None:
        for meaning, (start, end) in values:
            self._add(kind, {meaning}, start, end)

    def _add(self, kind: str, meanings: Iterable[object], start: int, end: int) -> None:
        if not any(first < end and start < last for first, last in self._spans):
            self._values.setdefault(kind, []).append(Value(frozenset(meanings), start, end))
            self._spans.append((start, end))


_TELLING = frozenset(ROLES).union(SPELLED, WEEKDAYS, PLACES)
_TWICE = ("twice",)
_STEM = 5  # letters that two forms of a word share
_TITLES = frozenset("dr prof mr mrs ms bapak ibu pak bu sr sra srta don dona drs ir".split())  # noqa: SIM905 - a table
_COUNTING = frozenset("dos dua tiga lima".split())  # noqa: SIM905 - as above


def _is_in(number: Number, spans: Iterable[tuple[int, int]]) -> bool:
    return any(start <= number.start and number.end <= end for start, end in spans)


def _select_digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _iter_clock_values(number: Number) -> Iterator[object]:
    return (value for kind, value in number.keys if kind == "t")


def _iter_amounts(number: Number, *, in_hours: bool) -> Iterator[object]:
    """Its values; of a length of time in minutes, so that two weeks are fourteen days."""
    scale = _MINUTES.get(number.unit, 60 if in_hours else 1)
    return (round(value * scale, 6) for kind, value in number.keys if kind == "n")


def _group_names(names: Sequence[Name]) -> Iterator[Sequence[Name]]:
    group: list[Name] = []
    for name in names:
        if group and not name.follows:
            yield group
            group = []
        group.append(name)
    if group:
        yield group
