"""What is told with an answer where another document shown for it says something else."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agents.citations import Citation, make_citations, remove_marks
from agents.conflicts.comparison import Difference, find_differences
from prompts.conflicts import describe_side, describe_undecided, describe_verdict, differ
from prompts.names import write_name
from providers.chat.question_kinds import CLOCK, DAY, DURATION, LIST, MONEY, NUMBER, PERCENT, PERSON, PHONE, find_kinds
from providers.chat.sentences import split_sentences
from utils.passages import Hit, Passage
from utils.validity import Standing, choose
from utils.words import hash_content_words

MAX_NOTED = 3  # conflicts of one answer
_LONGEST = 300  # characters of a sentence that is quoted
_PART_OF_MOST = 0.6  # of the words that the nearest sentence of a quote shares with the question
# What a question asks for whose answer is of a kind of `agents.conflicts.values`; of the others any kind may be asked.
_KINDS = {
    **dict.fromkeys(("clock", "date", "weekday"), frozenset((CLOCK, DAY, DURATION))),
    "duration": frozenset((DURATION, CLOCK, DAY, NUMBER)),
    **dict.fromkeys(("EUR", "GBP", "IDR", "USD"), frozenset((MONEY, NUMBER))),
    "%": frozenset((PERCENT, NUMBER, MONEY)),
    "person": frozenset((PERSON, PHONE)),
    **dict.fromkeys(("mail", "phone"), frozenset((PHONE, PERSON, NUMBER))),
}


@dataclass(frozen=True, slots=True)
class Note:
    """What to add to an answer: the text, which begins with an empty line, the citations it brings, and the conflicts
    as the API gives them."""

    text: str
    citations: Sequence[Citation]
    conflicts: Sequence[dict[str, Any]]


NOTHING = Note("", (), ())


def note_conflicts(
    citations: Sequence[Citation], hits: Sequence[Hit], find_language: Callable[[], str], *, question: str = ""
) -> Note:
    """Where another of *hits* says something else than what an answer cites; passage n is `hits[n - 1]`.

    *find_language* gives the language to say it in; it is asked only where there is something to say.
    Each pair of passages once; at most `MAX_NOTED`. Of what is cited beside the answer to *question* nothing is said.
    """
    differences = list(_iter_differences(citations, hits, question))[:MAX_NOTED]
    if not differences:
        return NOTHING
    language = find_language()
    paragraphs, conflicts = [], []
    cited_numbers = {citation.number for citation in citations}
    added: dict[int, Citation] = {}
    for one, other, difference in differences:
        pair = [(one, difference.one.text), (other, difference.other.text)]
        for number, sentence in pair:
            if number not in cited_numbers:
                added |= {each.number: each for each in make_citations(f"{remove_marks(sentence)} [{number}]", hits)[1]}
        conflict = _describe(pair, difference, hits)
        conflicts.append(conflict)
        paragraphs.append(_write(conflict, language))
    return Note("".join(f"\n\n{each}" for each in paragraphs), list(added.values()), conflicts)


def _iter_differences(
    citations: Sequence[Citation], hits: Sequence[Hit], question: str
) -> Iterator[tuple[int, int, Difference]]:
    """The numbers of two passages, the first one cited, with sentences of theirs that differ."""
    seen: set[frozenset[int]] = set()
    for citation in citations:
        cited = hits[citation.number - 1].passage
        focus = _Focus(question, citation.quote, cited.language)
        for number, hit in enumerate(hits, 1):
            pair = frozenset((citation.number, number))
            if len(pair) < len(("one", "other")) or pair in seen:
                continue
            for difference in find_differences(cited, hit.passage):
                is_cited = difference.one.text in citation.quote or citation.quote in difference.one.text
                if is_cited and focus.covers(difference):
                    seen.add(pair)
                    yield citation.number, number, difference
                    break


class _Focus:
    """What of a quote answers a question: the sentences with most of its words that give the kind of thing asked for.

    Of a question in another language no words are met, and then any sentence of the quote may be the answer.
    """

    def __init__(self, question: str, quote: str, language: str) -> None:
        self._language, self._kinds = language, find_kinds(question) - {LIST}
        self._words = hash_content_words(question, language)
        self._most = max((self._count_met(sentence.text) for sentence in split_sentences(quote)), default=0)

    def covers(self, difference: Difference) -> bool:
        """Whether the question asks for what its first sentence says."""
        kinds = _KINDS.get(difference.kind)
        if kinds and self._kinds and kinds.isdisjoint(self._kinds):
            return False
        return self._count_met(difference.one.text) >= _PART_OF_MOST * self._most

    def _count_met(self, sentence: str) -> int:
        return len(self._words & hash_content_words(sentence, self._language))


def _describe(pair: Sequence[tuple[int, str]], difference: Difference, hits: Sequence[Hit]) -> dict[str, Any]:
    passages = [hits[number - 1].passage for number, _ in pair]
    choice = choose(*map(_make_standing, passages))
    preferred = None if choice.preferred is None else passages[choice.preferred].document_id
    return {
        "kind": difference.kind,
        "statements": [
            _describe_side(number, sentence, passage)
            for (number, sentence), passage in zip(pair, passages, strict=True)
        ],
        "preferred_document_id": preferred,
        "decided_by": choice.decided_by,
    }


def _make_standing(passage: Passage) -> Standing:
    return Standing(passage.precedence, passage.dated, passage.title)


def _describe_side(number: int, sentence: str, passage: Passage) -> dict[str, Any]:
    return {
        "number": number,
        "document_id": passage.document_id,
        "version": passage.version,
        "title": passage.title,
        "source": passage.source,
        "date": passage.dated,
        "precedence": passage.precedence,
        "sentence": sentence,
    }


def _write(conflict: dict[str, Any], language: str) -> str:
    """A conflict in words: both sentences with the titles and days of their documents, and which of them holds."""
    sides = conflict["statements"]
    is_same = sides[0]["title"] == sides[1]["title"]
    names = [write_name(each["source"] if is_same or not each["title"] else each["title"]) for each in sides]
    quotes = [
        f"- {describe_side(name, each['date'], language)}: {_shorten(each['sentence'])} [{each['number']}]"
        for name, each in zip(names, sides, strict=True)
    ]
    preferred = next(
        (
            name
            for name, each in zip(names, sides, strict=True)
            if each["document_id"] == conflict["preferred_document_id"]
        ),
        None,
    )
    days = [each["date"] for each in sides]
    last = (
        describe_undecided(days, language)
        if preferred is None
        else describe_verdict(preferred, conflict["decided_by"], language)
    )
    return f"{differ(language)}\n\n" + "\n".join(quotes) + f"\n\n{last}"


def _shorten(sentence: str) -> str:
    plain = " ".join(remove_marks(sentence).split())  # a reader would take a mark of the document's for one of ours
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST].rstrip()}…"
