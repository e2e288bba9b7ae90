"""Which paragraphs, lists and rows of the passages are quoted, by the scores of their sentences.

The constants were chosen on the four sets of `benchmarks/answers.py` together; the figures change little around them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from prompts.rag import NumberedPassage
from providers.chat.candidates import REFERENCE_MARK, Candidate
from providers.chat.question_kinds import DURATION, LIST, MONEY, find_kinds
from providers.chat.sentence_scores import is_headed_by
from providers.chat.word_scores import QuestionWords, find_words_of_its_own
from utils.words import hash_content_words

_MAX_CLAUSES = 100  # of a sentence that is too long, from which its run may begin
# Blocks, rows of a table and sentences of a paragraph that are worse than the best one by more are left out: they fill
# the answer without adding to it. Beside a sentence that gives the kind of thing asked for, others give another value.
_WORSE, _WORSE_BESIDE_VALUE, _WORSE_ROW = 0.5, 0.25, 0.1
WORSE_BY_WORDS, WORSE_BY_MEANING = (0.6, 0.5), (0.1, 0.2)  # sentences; the second where two things are asked
_WORSE_IN_EXPLANATION = 8  # times: where the best sentence has not the kind of thing asked for, the next one may
_MAX_ROWS = 2
_SHORT_TABLE = 3  # rows
_SHORT_PARAGRAPH, _SHORT_EXPLANATION = 100, 300  # characters, which are quoted whole
SEPARATOR = "\n\n"  # between quotes: each is a block of its own

_ASKS_TWICE = re.compile(
    r"\b(?:and|y|e|dan) (?:what|when|who|where|how|which|can|do|does|is|are|qué|cuánd|cuánt|cómo|quién|dónde|puedo"
    r"|se puede|apa|berapa|kapan|siapa|di mana|bagaimana)",
    re.IGNORECASE,
)
_ASKS_FOR_ALL = re.compile(r"\b(?:list|all|lista|listado|tod[oa]s|daftar|semua|seluruh)\b", re.IGNORECASE)
_CLAUSE_END = re.compile(r"[,;:)–—]\s+")


@dataclass(frozen=True, slots=True)
class Quote:
    """A piece of passage *number*, verbatim but for a cut marked with "…" and the document's own reference marks.

    A row of a table is Markdown, and its mark stands in its last cell. *more_rows*: how many rows of the table are left
    out, 0 where the question asks for single ones.
    """

    number: int
    text: str
    more_rows: int = 0

    def __str__(self) -> str:
        mark = f" [{self.number}]"
        return f"{self.text[:-2]}{mark} |" if self.text.endswith(" |") else f"{self.text}{mark}"


def select_quotes(
    question: str,
    sentences: Sequence[Candidate],
    scores: Sequence[float],
    *,
    max_chars: int,
    worse: tuple[float, float] = WORSE_BY_WORDS,
) -> list[Quote]:
    """The paragraphs, lists and rows that answer *question* best, at most *max_chars* with their marks.

    *scores* are those of `score_sentences`; by so much a sentence may be *worse* than the best of its paragraph, where
    one and where two things are asked. The best sentence's passage comes first, the pieces of a passage stand as they
    do there. A list is whole, a row has the names of its columns above it.
    """
    best, room = max(scores), max_chars
    first = sentences[scores.index(best)]
    asks_twice = _ASKS_TWICE.search(question) is not None
    by, kinds = worse[asks_twice], find_kinds(question) - {LIST}
    asks_once = not asks_twice and not kinds >= {MONEY, DURATION}
    gives_value = asks_once and not kinds.isdisjoint(first.kinds)
    least = best - (_WORSE_BESIDE_VALUE if gives_value else _WORSE)
    chosen: list[tuple[int, Quote]] = []
    for members in _order_blocks(question, sentences, scores, least=least):
        score = max(scores[i] for i in members)
        if chosen and (score < least or score <= 0):
            break
        of_block = [sentences[i] for i in members]
        text, more_rows = _quote_block(
            question, of_block, [scores[i] for i in members], room, worse=by, may_cut=not chosen, kinds=kinds
        )
        if not chosen and not text:
            text = _shorten(question, first, room - len(str(Quote(first.number, ""))))
        if text:
            quote = Quote(of_block[0].number, text, more_rows)
            chosen.append((members[0], quote))
            room -= len(str(quote)) + len(SEPARATOR)
    return _in_reading_order(chosen)


def _order_blocks(
    question: str, sentences: Sequence[Candidate], scores: Sequence[float], *, least: float
) -> list[list[int]]:
    """The blocks of *sentences*, the best first. Where a list is asked for, tables of the best passage come before them
    if they have the *least* score: they need the room."""
    best_rank = sentences[scores.index(max(scores))].rank
    asks_for_list = _asks_for_list(question)

    def order(members: Sequence[int]) -> tuple[bool, float]:
        score, first = max(scores[i] for i in members), sentences[members[0]]
        is_list = asks_for_list and first.block.kind == "table" and first.rank == best_rank
        return not (is_list and score >= least), -score

    return sorted(group_by_block(sentences), key=order)


def group_by_block(sentences: Sequence[Candidate]) -> list[list[int]]:
    """The indexes of *sentences*, those of a block together."""
    blocks: dict[tuple[int, int], list[int]] = {}
    for i, sentence in enumerate(sentences):
        blocks.setdefault((sentence.rank, sentence.block.start), []).append(i)
    return list(blocks.values())


def _quote_block(
    question: str,
    sentences: Sequence[Candidate],
    scores: Sequence[float],
    room: int,
    *,
    worse: float,
    may_cut: bool,
    kinds: frozenset[str],
) -> tuple[str, int]:
    """The part of a block that is quoted, at most *room* characters with its mark, and how many rows are left out, see
    `Quote`; "" if nothing fits.

    A list is whole unless it *may* be *cut*. A paragraph is quoted from its first to its last sentence that is
    *worse* than its best one by no more.
    """
    block, passage = sentences[0].block, sentences[0].passage
    room -= len(f" [{passage.number}]")
    if block.kind == "table":
        return _quote_rows(question, sentences, scores, room)
    whole = _verbatim(passage, block.start, block.end)
    best = sentences[max(range(len(sentences)), key=scores.__getitem__)]
    if block.kind == "paragraph" and len(whole) > _SHORT_PARAGRAPH:
        explains = kinds.isdisjoint(best.kinds) and len(whole) <= _SHORT_EXPLANATION
        floor = max(scores) - worse * (_WORSE_IN_EXPLANATION if explains else 1)
        chosen = [sentence for sentence, score in zip(sentences, scores, strict=True) if score >= floor]
        whole = _verbatim(passage, chosen[0].start, chosen[-1].end)
    if len(whole) <= room:
        return whole, 0
    return _run_of_sentences(sentences, scores, room) if may_cut or block.kind == "paragraph" else "", 0


def _quote_rows(question: str, sentences: Sequence[Candidate], scores: Sequence[float], room: int) -> tuple[str, int]:
    """The best rows as they stand, below the names of the columns where they have any; and how many are left out.

    Where no word of *question* tells its rows apart, a table is quoted whole if it is short, such as opening hours of
    which no day is asked for, or if it is asked for as a list or by its heading.
    """
    head = sentences[0].head
    lines = [f"| {head} |", f"|{' --- |' * (head.count(' | ') + 1)}"] if head else []
    rest = room - sum(len(line) + 1 for line in lines)
    floor, most = max(scores) - _WORSE_ROW, _MAX_ROWS
    asks_for_single_rows = _tells_apart(question, sentences)
    if not asks_for_single_rows and (len(sentences) <= _SHORT_TABLE or _is_whole_asked_for(question, sentences[0])):
        floor, most = min(scores), len(sentences)
    ranked = sorted(range(len(sentences)), key=lambda i: -scores[i])[:most]
    rows = {}
    for i in ranked:
        row = f"| {sentences[i].text} |" if head else sentences[i].text
        if scores[i] >= floor and len(row) < rest:
            rows[i] = row
            rest -= len(row) + 1
    text = "\n".join([*lines, *(rows[i] for i in sorted(rows))]) if rows else ""
    return text, 0 if asks_for_single_rows else len(sentences) - len(rows)


def _tells_apart(question: str, rows: Sequence[Candidate]) -> bool:
    """Whether some of *rows*, not all, have a word of *question* that does not stand above them all."""
    words = find_words_of_its_own(question, rows[0])
    return len({words & row.words for row in rows}) > 1


def _asks_for_list(question: str) -> bool:
    return LIST in find_kinds(question) or _ASKS_FOR_ALL.search(question) is not None


def _is_whole_asked_for(question: str, row: Candidate) -> bool:
    return _asks_for_list(question) or is_headed_by(QuestionWords.read(question, row.language), row)


def _run_of_sentences(sentences: Sequence[Candidate], scores: Sequence[float], room: int) -> str:
    """The best sentence with those around it that fit; "" if not even that one does."""
    passage = sentences[0].passage
    first = last = max(range(len(sentences)), key=scores.__getitem__)
    # With its bullet or number.
    starts = [
        passage.text.rfind("\n", 0, each.start) + 1 if each.block.kind == "list" else each.start for each in sentences
    ]
    text = _verbatim(passage, starts[first], sentences[first].end)
    if len(text) > room:
        return ""
    while True:
        beside = [i for i in (first - 1, last + 1) if 0 <= i < len(sentences)]
        for i in sorted(beside, key=lambda i: -scores[i]):
            longer = _verbatim(passage, starts[min(first, i)], sentences[max(last, i)].end)
            if len(longer) <= room:
                first, last, text = min(first, i), max(last, i), longer
                break
        else:
            return text


def _verbatim(passage: NumberedPassage, start: int, end: int) -> str:
    return REFERENCE_MARK.sub("", passage.text[start:end])


def _shorten(question: str, sentence: Candidate, room: int) -> str:
    """The sentence, or if it is too long its run of clauses with most of the question's words, cut ends marked "…"."""
    if len(sentence.text) <= room:
        return sentence.text
    starts = [0, *(end.end() for end in islice(_CLAUSE_END.finditer(sentence.text), _MAX_CLAUSES))]
    words = hash_content_words(question, sentence.language)
    runs = [_run(sentence.text, start, room) for start in starts]
    return max(runs, key=lambda run: len(words & hash_content_words(run, sentence.language)))


def _run(text: str, start: int, room: int) -> str:
    """As much of *text* from *start* as fits, to the end of a clause, else of a word."""
    head = "…" if start else ""
    if len(text) - start + len(head) <= room:
        return head + text[start:]
    piece = text[start : start + room - len(head) - 1]
    clauses = [end.start() for end in _CLAUSE_END.finditer(piece)]
    end = clauses[-1] if clauses else max(piece.rfind(" "), 0) or len(piece)
    return f"{head}{piece[:end].rstrip()}…"


def _in_reading_order(chosen: Sequence[tuple[int, Quote]]) -> list[Quote]:
    """Quotes passage by passage, in the order of *chosen*, and inside a passage as they stand there."""
    numbers = list(dict.fromkeys(quote.number for _, quote in chosen))
    return [quote for _, quote in sorted(chosen, key=lambda each: (numbers.index(each[1].number), each[0]))]
