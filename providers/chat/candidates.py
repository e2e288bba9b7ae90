"""What can be quoted: the sentences of passages, with what they stand under."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import islice

from prompts.rag import NumberedPassage
from providers.chat.question_kinds import LIST, find_text_kinds
from providers.chat.sentences import Block, split_blocks
from utils.facts.names import find_names
from utils.language import detect_any_language
from utils.words import hash_content_words

REFERENCE_MARK = re.compile(r"\s?\[\d{1,3}\]")
_MIN_ITEMS = 3  # of a list that is one
_LONGEST_IN_CONTEXT = 1200  # characters
_LONGEST_ABOVE = 300  # characters of a title, heading or question: each is read again with what stands under it
MAX_CANDIDATES = 1_000  # of an answer: six passages have some 100, twenty of the longest 2,000
_OPENING_WORDS, _LONGEST_OPENING = 12, 300  # the second in characters
WORD = re.compile(r"[^\W_]+(?:[-'’&][^\W_]+)*")
_PASSAGES_KEPT, _LONGEST_KEPT = 256, 8000  # characters of a passage


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that can be quoted. *number* is its passage's mark, *rank* counts passages from 0.

    *asks* is the question of the document that it follows, "" where there is none; *head* names the columns of the
    table it is a row of; *names* are those of its *words* that are written as names, *plain* those that no name is
    written as; *opening* are its first content words in order; *lead* are the words of all that it stands under,
    *heading* those of what is right above it, a question or a heading, *title* those of its document's; *kinds* are
    those of what it gives (`providers.chat.question_kinds`). It stands at *start* to *end* in *passage*, as a part of
    *block*.
    """

    number: int
    rank: int
    language: str
    text: str
    asks: str
    head: str
    words: frozenset[int]
    names: frozenset[int]
    plain: frozenset[int]
    opening: tuple[frozenset[int], ...]
    lead: frozenset[int]
    heading: frozenset[int]
    title: frozenset[int]
    kinds: frozenset[str]
    passage: NumberedPassage
    block: Block
    start: int
    end: int

    @property
    def in_context(self) -> str:
        """It with what it stands under; of a table the row as "column: value"."""
        text = self.text
        if self.block.kind == "table" and self.head:
            text = "; ".join(map(": ".join, zip(self.head.split(" | "), text.split(" | "), strict=False)))
        return self._put_under_headings(text)

    @property
    def list_in_context(self) -> str:
        """The whole list that it is an item of, with what that stands under; "" where it is none."""
        if self.block.kind != "list" or len(self.block.sentences) == 1:
            return ""
        return self._put_under_headings(self.passage.text[self.block.start : self.block.end])

    def _put_under_headings(self, text: str) -> str:
        path = (self.passage.title[:_LONGEST_ABOVE], _cut_heading(self.passage), self.asks[:_LONGEST_ABOVE])
        above = dict.fromkeys(filter(None, path))
        return f"{' › '.join(above)}: {text}"[:_LONGEST_IN_CONTEXT]


def list_candidates(passages: Sequence[NumberedPassage]) -> list[Candidate]:
    """Every sentence of *passages* that says anything, in order; one in several passages counts for the first alone.

    The first `MAX_CANDIDATES`: those of the best passages, which come first.
    """
    found: dict[str, Candidate] = {}
    for rank, passage in enumerate(passages):
        if len(found) >= MAX_CANDIDATES:
            break
        read = _read if len(passage.text) <= _LONGEST_KEPT else _read.__wrapped__
        for candidate in read(passage._replace(number=0)):
            placed = replace(candidate, number=passage.number, rank=rank, passage=passage)
            found.setdefault(" ".join(candidate.text.split()), placed)
    said = (candidate for text, candidate in found.items() if any(map(str.isalnum, text)))
    return list(islice(said, MAX_CANDIDATES))


@lru_cache(_PASSAGES_KEPT)
def _read(passage: NumberedPassage) -> tuple[Candidate, ...]:
    """The sentences of one passage. Splitting it and telling its language are most of the work of an answer."""
    language = detect_any_language(passage.text)
    title = hash_content_words(passage.title[:_LONGEST_ABOVE], language)
    heading = _cut_heading(passage)
    read_words = cache(partial(_read_lines, language))  # most sentences stand under the same
    return tuple(
        Candidate(
            passage.number,
            0,
            language,
            text := REFERENCE_MARK.sub("", sentence.text),  # a reader would take it for a mark of ours
            asks,
            sentence.head,
            words := hash_content_words(text, language),
            hash_content_words(" ".join(each.text for each in names if not each.opens or each.follows), language),
            words - hash_content_words(" ".join(each.text for each in names), language),
            _read_opening(text, language),
            read_words(heading, sentence.lead, sentence.head),
            read_words(asks[:_LONGEST_ABOVE] or heading.rpartition(" › ")[2]),
            title,
            find_text_kinds(text) | _find_block_kinds(block),
            passage,
            block,
            start,
            end,
        )
        for asks, block in _follow_questions(split_blocks(passage.text))
        for sentence, (start, end) in zip(block.sentences, block.spans, strict=True)
        for names in [find_names(sentence.text)]
    )


def _read_lines(language: str, *lines: str) -> frozenset[int]:
    return hash_content_words("\n".join(lines), language)


def _find_block_kinds(block: Block) -> frozenset[str]:
    return frozenset({LIST} if block.kind == "list" and len(block.sentences) >= _MIN_ITEMS else ())


def _cut_heading(passage: NumberedPassage) -> str:
    """The path of its headings; of a long one the end, which is nearest."""
    return passage.heading[-_LONGEST_ABOVE:]


def _read_opening(text: str, language: str) -> tuple[frozenset[int], ...]:
    words = (hash_content_words(word[0], language) for word in WORD.finditer(text[:_LONGEST_OPENING]))
    return tuple(islice(filter(None, words), _OPENING_WORDS))


def _follow_questions(blocks: Sequence[Block]) -> Iterator[tuple[str, Block]]:
    """*blocks* with the question that each follows: "Forgot your password? Reset it in the portal." answers with the
    latter."""
    question = ""
    for at, block in enumerate(blocks):
        first, *others = block.sentences
        if block.kind == "paragraph" and first.text.endswith("?") and (others or at + 1 < len(blocks)):
            question = first.text
            block = replace(block, sentences=tuple(others), spans=block.spans[1:])
        if block.sentences:
            yield question, block
            question = ""


def find_foreign(question: str, sentences: Iterable[Candidate]) -> set[str]:
    """The languages of *sentences* that are not *question*'s; none where that is too short to tell its own."""
    languages = {sentence.language for sentence in sentences}
    return {language for language in languages if detect_any_language(question, default=language) != language}
