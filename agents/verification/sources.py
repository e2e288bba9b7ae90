"""Passages as claims are compared with them, worked out once for each: the same ones are cited again and again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from providers.chat.sentences import split_sentences
from utils.facts.dates import KnownDates, find_dates
from utils.facts.folding import fold
from utils.facts.names import find_initials, find_names, list_words
from utils.facts.numbers import KnownNumbers, find_numbers
from utils.facts.polarity import tokenize
from utils.passages import Passage
from utils.words import hash_content_words

_REFERENCE_MARK = re.compile(r"\s?\[\d{1,3}\]")
_VERBATIM = re.compile(r"[^\W_]+(?:[.,:/'-][^\W_]+)*|[%$€£<>≤≥]")
_KEPT = 512  # passages with what was worked out, some 20 kB each


@dataclass(frozen=True)
class SourceSentence:
    """A sentence of a passage; *lead* is what it stands under."""

    text: str
    lead: str
    language: str

    @cached_property
    def words(self) -> frozenset[int]:
        """Hashes of its stems (`hash_content_words`), without those of its lead."""
        return hash_content_words(self.text, self.language)

    @cached_property
    def around(self) -> frozenset[int]:
        """Hashes of the stems of its lead."""
        return hash_content_words(self.lead, self.language) if self.lead else frozenset()

    @cached_property
    def spelled(self) -> str:
        """Its words in their order, as `spell_out`."""
        return spell_out(self.text)

    @cached_property
    def tokens(self) -> list[tuple[str, int]]:
        """Its words, folded, with their places."""
        return tokenize(self.text)

    @cached_property
    def numbers(self) -> KnownNumbers:
        """Its numbers, those of its lead too."""
        return KnownNumbers(find_numbers(f"{self.text}\n{self.lead}"))

    @cached_property
    def dates(self) -> KnownDates:
        """Its dates, those of its lead too."""
        return KnownDates(find_dates(f"{self.text}\n{self.lead}"))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """Its words as names are compared."""
        return list_words(self.text)


@dataclass(frozen=True)
class Source:
    """A passage with its title and headings."""

    text: str
    title: str
    language: str

    @cached_property
    def sentences(self) -> Sequence[SourceSentence]:
        """Its sentences in order."""
        return [
            SourceSentence(each.text, " ".join(filter(None, (each.lead, each.head))), self.language)
            for each in split_sentences(self.text)
        ]

    @cached_property
    def spelled(self) -> str:
        """Its words in their order, as `spell_out`."""
        return spell_out(self.text)

    @cached_property
    def words(self) -> frozenset[int]:
        """Hashes of all stems, the title's too."""
        return hash_content_words(self.text, self.language) | self.title_words

    @cached_property
    def title_words(self) -> frozenset[int]:
        """Hashes of the title's and the headings' stems."""
        return hash_content_words(self.title, self.language)

    @cached_property
    def numbers(self) -> KnownNumbers:
        """All numbers."""
        return KnownNumbers(find_numbers(f"{self.text}\n{self.title}"))

    @cached_property
    def dates(self) -> KnownDates:
        """All dates."""
        return KnownDates(find_dates(f"{self.text}\n{self.title}"))

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words as names are compared, and what runs of names are short for."""
        return list_words(self.text) | list_words(self.title) | find_initials(self.text)

    @cached_property
    def first_letters(self) -> str:
        """The first letters of all words in order, in which an abbreviation of some of them stands."""
        return "".join(word[0] for word in fold(self.text).split())

    @cached_property
    def names(self) -> frozenset[str]:
        """Words that are names wherever they stand: with a capital in the midst of a sentence at least once."""
        return frozenset(name.key for name in find_names(self.text) if not name.opens or name.follows)


def make_source(passage: Passage) -> Source:
    """*passage* as claims are compared with it."""
    return _make_source(passage.text, f"{passage.title}\n{passage.heading}".strip(), passage.language)


def spell_out(text: str) -> str:
    """The words and numbers of *text*, folded, in their order, with a blank around each: for verbatim comparison."""
    return f" {' '.join(_VERBATIM.findall(fold(_REFERENCE_MARK.sub('', text))))} "


@lru_cache(_KEPT)
def _make_source(text: str, title: str, language: str) -> Source:
    return Source(_REFERENCE_MARK.sub("", text), title, language)
