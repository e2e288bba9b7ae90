"""The numbers, dates and names of a sentence, and whether its source has them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice, product

from agents.verification.sources import Source, SourceSentence
from utils.facts.dates import Date, find_dates
from utils.facts.folding import fold
from utils.facts.names import Name, find_names, is_known
from utils.facts.numbers import Number, find_numbers
from utils.facts.polarity import tokenize
from utils.language import detect_language

_SHORTEST_ABBREVIATION = 3  # letters: fewer are found in any text
_ROUNDED_DEGREES = 5  # Fahrenheit
_MAX_CONVERTED = 4  # temperatures of a sentence that may be the same as another
_ALIGNED = 0.6  # of the words of two sentences in the same order: then one was made of the other
_LONGEST_REPLACED = 6  # words
_MAX_COMPARED = 40_000  # pairs of words
_MAX_ALIKE = 2_000  # of them that are the same word twice: comparing looks at each again and again


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sentence states that can be compared by value."""

    numbers: Sequence[Number]
    dates: Sequence[Date]
    names: Sequence[Name]


def find_facts(text: str) -> Facts:
    """The facts of *text*; digits of dates are no numbers beside."""
    dates = find_dates(text)
    of_dates = _mark_covered(text, ((date.start, date.end) for date in dates if not date.weekdays))
    free = [number for number in find_numbers(text) if not of_dates[number.start]]
    return Facts(free, dates, find_names(text))


def _mark_covered(text: str, spans: Iterable[tuple[int, int]]) -> bytearray:
    """For each character of *text* whether it is in one of *spans*."""
    covered = bytearray(len(text) + 1)
    for start, end in spans:
        covered[start:end] = b"\1" * (end - start)
    return covered


def find_missing_fact(facts: Facts, text: str, sources: Sequence[Source]) -> str:
    """A fact that none of *sources* has, in words such as "the number 40"; "" where they have all.

    Names are looked for where the sentence is in the language of a source: translated ones are spelled otherwise.
    """
    for number in facts.numbers:
        if number.is_weak or _has_number(number, sources):
            continue
        converted = (each for each in facts.numbers if number.unit and _is_same_temperature(number, each))
        if not any(_has_number(each, sources) for each in islice(converted, _MAX_CONVERTED)):
            return f"the number {number.text}"
    for date in facts.dates:
        if not _has_date(date, sources):
            return f"the date {date.text}" if date.readings else f"the day {date.text}"
    absent = _find_absent_names(facts.names, sources)
    if absent and detect_language(text, default=sources[0].language) in {source.language for source in sources}:
        return f"the name {absent[0].text}"
    return ""


def find_replaced_fact(facts: Facts, text: str, source: Source, sentence: SourceSentence) -> str:
    """What *sentence* of *source* has in the place of a fact of *text*, as '"40" where this has "50"', else "".

    Only where the two are made of nearly the same words in the same order.
    """
    words, sentence_words = [word for word, _ in tokenize(text)], [word for word, _ in sentence.tokens]
    values = _find_fact_words(facts, text)
    for a, b, c, d in _find_replacements(words, sentence_words):
        replaced = [word for word in words[a:b] if word in values and word not in sentence_words]
        instead = [word for word in sentence_words[c:d] if any(map(str.isdigit, word)) or word in source.names]
        if replaced and instead and _is_absent(facts, sentence):
            return f'"{" ".join(instead)}" where this has "{" ".join(replaced)}"'
    return ""


def _find_replacements(words: Sequence[str], other_words: Sequence[str]) -> list[tuple[int, int, int, int]]:
    if not shares_order(words, other_words):
        return []
    codes = SequenceMatcher(None, words, other_words, autojunk=False).get_opcodes()
    return [
        (a, b, c, d)
        for kind, a, b, c, d in codes
        if kind == "replace" and b - a <= _LONGEST_REPLACED and d - c <= _LONGEST_REPLACED
    ]


def shares_order(ours: Sequence[str], theirs: Sequence[str], *, least: float = _ALIGNED) -> bool:
    """Whether *least* of the words of one also stand in the other, in the same order."""
    counted = Counter(theirs)
    if len(ours) * len(theirs) > _MAX_COMPARED or sum(counted[word] for word in ours) > _MAX_ALIKE:
        return False
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    return matcher.quick_ratio() >= least and matcher.ratio() >= least


def _has_number(number: Number, sources: Sequence[Source]) -> bool:
    return any(source.numbers.agree(number) for source in sources)


def _is_same_temperature(one: Number, other: Number) -> bool:
    """Whether they are the same in Celsius and Fahrenheit, as recipes round them."""
    celsius, fahrenheit = (one, other) if one.unit == "C" else (other, one)
    if (celsius.unit, fahrenheit.unit) != ("C", "F"):
        return False
    pairs = product(_list_values(celsius), _list_values(fahrenheit))
    return any(abs(c * 9 / 5 + 32 - f) <= _ROUNDED_DEGREES for c, f in pairs)


def _list_values(number: Number) -> list[float]:
    return [value for kind, value in number.keys if kind == "n"]


def _has_date(date: Date, sources: Sequence[Source]) -> bool:
    if any(source.dates.say(date) for source in sources):
        return True
    # "12 March" in one place and its year in another.
    return any(
        year is not None
        and month is not None
        and any(source.dates.say(Date(((None, month, day),), 0, 0, "")) for source in sources)
        and any(source.numbers.agree(Number(frozenset({("n", float(year))}), "", 0, 0, "")) for source in sources)
        for year, month, day in date.readings
    )


def _find_absent_names(names: Iterable[Name], sources: Sequence[Source]) -> list[Name]:
    # The first word of a sentence has a capital whatever it is.
    meant = (name for name in names if not name.opens or _is_code(name.text))
    return [name for name in meant if not any(_has_name(name, source) for source in sources)]


def _has_name(name: Name, source: Source) -> bool:
    if is_known(name.key, source.vocabulary):
        return True
    letters = name.text.removesuffix("s")
    return len(letters) >= _SHORTEST_ABBREVIATION and letters.isupper() and fold(letters) in source.first_letters


def _is_code(text: str) -> bool:
    return len(text) > 1 and (text.isupper() or any(map(str.isdigit, text)))


def _find_fact_words(facts: Facts, text: str) -> set[str]:
    # The first word of a sentence has a capital whatever it is.
    groups = (facts.numbers, facts.dates, [name for name in facts.names if not name.opens or _is_code(name.text)])
    covered = _mark_covered(text, ((each.start, each.end) for group in groups for each in group))
    return {word for word, start in tokenize(text) if covered[start]}


def _is_absent(facts: Facts, sentence: SourceSentence) -> bool:
    """Whether a fact is not in *sentence* by value either."""
    for number in facts.numbers:
        if not number.is_weak and not sentence.numbers.agree(number):
            return True
    if any(not sentence.dates.say(date) for date in facts.dates):
        return True
    return any(not is_known(name.key, sentence.vocabulary) for name in facts.names)
