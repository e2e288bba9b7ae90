"""What is shown of what was found: a text once, neighbours as one passage."""

from dataclasses import replace

import pytest

from retrieval.selection import LONGEST_JOINED, drop_repeats, join_neighbours
from tests.retrieval.corpus import passage, texts
from utils.passages import Hit, Passage

RULES = (
    "Whoever returns a book late pays a fine of IDR 2,000 for each day and each book, at most IDR 100,000. "
    "The fine is paid at the counter or with the student card, before anything else can be borrowed."
)
DOCUMENT = "First paragraph, on loans.\n\nSecond paragraph, on fines.\n\nThird paragraph, on rooms. Its last sentence."


def hit(text: str, *, score: float = 0.0, **fields: object) -> Hit:
    return Hit(replace(passage(text), **fields), score, None, 1.0)  # type: ignore[arg-type]


def part(text: str, **fields: object) -> Hit:
    """The stretch of `DOCUMENT` that *text* is."""
    start = DOCUMENT.index(text)
    return hit(text, start=start, end=start + len(text), **fields)


FIRST, SECOND, THIRD, LAST = map(
    part,
    (
        "First paragraph, on loans.",
        "Second paragraph, on fines.",
        "Third paragraph, on rooms.",
        "Its last sentence.",
    ),
)


def test_the_same_text_of_two_documents_is_shown_once_at_the_better_place() -> None:
    again = hit(RULES.replace("for each day", "for every day").upper(), document_id="copy")
    other = hit("The library opens at nine.")
    assert list(drop_repeats([hit(RULES), other, again])) == [hit(RULES), other]


def test_texts_that_differ_in_a_figure_are_both_shown() -> None:
    newer = hit(RULES.replace("2,000", "3,000"), document_id="newer")
    assert list(drop_repeats([hit(RULES), newer])) == [hit(RULES), newer]


@pytest.mark.parametrize("text", ["", "Yes.", "See the table below."])
def test_short_texts_are_the_same_only_word_for_word(text: str) -> None:
    assert texts(list(drop_repeats([hit(text), hit(text, document_id="copy"), hit(f"{text} Not at all.")]))) == [
        text,
        f"{text} Not at all.",
    ]


def test_neighbours_become_one_passage_that_stands_so_in_the_document() -> None:
    [whole] = join_neighbours([SECOND, THIRD, FIRST], limit=5)
    assert whole.passage.text == DOCUMENT[whole.passage.start : whole.passage.end]
    assert whole.passage.text.startswith("First")
    assert whole.passage.text.endswith("on rooms.")
    assert (whole.passage.passage_id, whole.score) == (SECOND.passage.passage_id, SECOND.score)


def test_a_passage_that_touches_two_closes_the_gap_between_them() -> None:
    [whole] = join_neighbours([THIRD, FIRST, SECOND], limit=3)
    assert whole.passage.text == "\n\n".join(texts([FIRST, SECOND, THIRD]))
    assert whole.passage.passage_id == THIRD.passage.passage_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FIRST, THIRD),  # the second is between them
        (THIRD, LAST),  # a space or the end of a line: nothing tells
        (FIRST, part(SECOND.passage.text, document_id="another")),
        (FIRST, part(SECOND.passage.text, page=2)),
        (FIRST, part(SECOND.passage.text, heading="Fines")),
    ],
)
def test_what_does_not_stand_together_stays_apart(one: Hit, other: Hit) -> None:
    assert join_neighbours([one, other], limit=5) == [one, other]


def test_joined_passages_make_room_for_others_up_to_the_limit() -> None:
    others = [hit(f"Another text, number {number}.", document_id=f"d{number}") for number in range(3)]
    shown = join_neighbours([FIRST, SECOND, *others], limit=3)
    assert shown[1:] == others[:2]
    assert join_neighbours([others[0], FIRST, SECOND], limit=2)[1].passage == FIRST.passage


def test_a_joined_passage_does_not_grow_without_end() -> None:
    size = LONGEST_JOINED // 2
    long: list[Passage] = [replace(passage("x" * size), start=at, end=at + size) for at in (0, size, 2 * size)]
    assert [len(each.passage.text) for each in join_neighbours([Hit(p, 1.0, None, 1.0) for p in long], limit=5)] == [
        2 * size,
        size,
    ]
