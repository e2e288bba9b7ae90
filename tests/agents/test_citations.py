"""Marks bound to passages: a table of answers, and what must hold for any answer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.citations import make_citations, remove_marks
from ingestion.chunking import ChunkSizes
from ingestion.parsers.markdown import parse as parse_markdown
from ingestion.parsers.parsed import Limits
from ingestion.reader import make_extracted
from retrieval.selection import join_neighbours
from tests.reading import chunk_document
from utils.errors import UnreadableDocument
from utils.passages import Hit, Passage

TEXTS = [
    "The office opens at 8:00. It closes at 16:30 on weekdays.\nOn Fridays it closes at noon.",
    "Rent is IDR 650,000 a month. A deposit of one month is due.",
    "Fees are due by 21 August 2026.",
]


def hit(number: int, text: str) -> Hit:
    passage = Passage(f"p{number}", f"d{number}", "Title", "a.md", "https://a.example", 3, "Fees", 100, 200, "en", text)
    return Hit(passage, 1.23456, 0.9, 4.0)


HITS = [hit(number, text) for number, text in enumerate(TEXTS, 1)]


@pytest.mark.parametrize(
    ("answer", "text", "quotes"),
    [
        ("Rent is IDR 650,000 a month. [2]", "Rent is IDR 650,000 a month. [2]", {2: "Rent is IDR 650,000 a month."}),
        (
            "They close at noon on Fridays [1].",
            "They close at noon on Fridays [1].",
            {1: "On Fridays it closes at noon."},
        ),
        ("Due 21 August [3][2].", "Due 21 August [3][2].", {3: TEXTS[2], 2: "A deposit of one month is due."}),
        ("Both [1, 3].", "Both [1][3].", {1: "The office opens at 8:00.", 3: TEXTS[2]}),
        ("Nothing [9].", "Nothing.", {}),
        ("Nothing [0] but [2, 9] this.", "Nothing but [2] this.", {2: "Rent is IDR 650,000 a month."}),
        ("Nothing [99999999999999999999] but [2].", "Nothing but [2].", {2: "Rent is IDR 650,000 a month."}),
        ("The code [2026] and [28040] stay.", "The code [2026] and [28040] stay.", {}),
        ("No marks at all.", "No marks at all.", {}),
        ("[1] first", "[1] first", {1: "The office opens at 8:00."}),
        ("Marks in marks [[9]8][[7]2].", "Marks in marks[2].", {2: "Rent is IDR 650,000 a month."}),
        ("", "", {}),
        (
            "Open at 8:00 [1]. On Fridays closed at noon [1].",
            "Open at 8:00 [1]. On Fridays closed at noon [1].",
            {1: TEXTS[0]},
        ),
    ],
)
def test_marks_are_bound_to_the_sentence_they_rest_on(answer: str, text: str, quotes: dict[int, str]) -> None:
    bound, citations = make_citations(answer, HITS)
    assert bound.strip() == text
    assert {citation.number: citation.quote for citation in citations} == quotes


def test_a_citation_says_where_its_quote_stands_in_the_document() -> None:
    _, [citation] = make_citations("It closes at 16:30 on weekdays. [1]", HITS)
    assert (citation.start - 100, citation.end - 100) == (26, 57)
    assert TEXTS[0][26:57] == citation.quote
    assert (citation.document_id, citation.page, citation.heading, citation.url) == (
        "d1",
        3,
        "Fees",
        "https://a.example",
    )


@given(st.lists(st.sampled_from(["[1]", "[2]", "[7]", "[1, 2]", "[x]", " rent ", "due.", "\n", "noon"])).map("".join))
def test_every_mark_that_stays_has_one_citation_and_its_quote_is_verbatim(answer: str) -> None:
    text, citations = make_citations(answer, HITS)
    assert {int(mark) for mark in re.findall(r"\[(\d+)\]", text)} == {citation.number for citation in citations}
    for citation in citations:
        passage = TEXTS[citation.number - 1]
        assert passage[citation.start - 100 : citation.end - 100] == citation.quote


RULES = (
    "Leave\n\nEveryone has 12 days\nof leave a year.[3] It is “paid” in full – always [4], they say.\n\n"
    "Sick leave\n\nCall Dr. Ito before 8 a.m. on the first day. Then rest.\n\nday | pay\n1 | 100 %\n2 | 80 %"
)


@pytest.mark.parametrize(
    ("claim", "quote"),
    [
        ("Everyone has 12 days of leave a year.", "Everyone has 12 days\nof leave a year.[3]"),
        ('It is "paid" in full - always, they say.', "It is “paid” in full – always [4], they say."),
        ("**Call Dr. Ito before 8 a.m. on the first day**", "Call Dr. Ito before 8 a.m. on the first day."),
        ("call dr. ito BEFORE 8 a.m.", "Call Dr. Ito before 8 a.m."),
        ("Then rest.", "Then rest."),
        ("2", "2 | 80 %"),
        ("rest", "Then rest."),
        ("2 | 80 %", "2 | 80 %"),
        ("You must ring Dr. Ito by eight on the first day.", "Call Dr. Ito before 8 a.m. on the first day."),
        (
            "Everyone has 12 days of leave a year. Call Dr. Ito before 8 a.m. on the first day.",
            "Everyone has 12 days\nof leave a year.[3] It is “paid” in full – always [4], they say.\n\n"
            "Sick leave\n\nCall Dr. Ito before 8 a.m. on the first day.",
        ),
        ("Here is what I found for you. Then rest.", "Then rest."),
    ],
)
def test_a_claim_is_found_however_the_document_writes_it(claim: str, quote: str) -> None:
    _, [citation] = make_citations(f"{claim} [1]", [hit(1, RULES)])
    assert citation.quote == quote
    assert RULES[citation.start - 100 : citation.end - 100] == quote


def test_a_quote_that_would_be_too_long_is_as_much_of_it_as_fits() -> None:
    far = f"The first rule is silence. {'Nothing else. ' * 60}The second rule is patience. The third rule is rest."
    claim = "The first rule is silence. The second rule is patience. The third rule is rest. [1]"
    _, [citation] = make_citations(claim, [hit(1, far)])
    assert citation.quote == "The second rule is patience. The third rule is rest."


def test_a_quote_holds_all_that_is_shown_of_a_passage() -> None:
    rows = "Room | Rent\nDouble room | 650\nSingle room | 950\n\n"
    text = f"{rows}{'Six rooms are fitted for wheelchairs. ' * 16}Rent is due on the fifth."
    table = "| Room | Rent |\n| --- | --- |\n| Double room | 650 |\n| Single room | 950 [1] |"
    shown = f"{table}\n\nRent is due on the fifth. [1]"
    _, [citation] = make_citations(shown, [hit(1, text)])
    assert citation.quote == text


@pytest.mark.timeout(20)
def test_a_passage_made_of_marks_is_no_trap() -> None:
    text = "word" + " [1]" * 2_000 + " end"
    _, citations = make_citations("word end. word word end [1]", [hit(1, text)] * 2)
    assert [citation.quote for citation in citations] == [text]


PIECES = st.sampled_from(
    [
        "# Leave\n\n",
        "## Pay\n\n",
        "Everyone has 12 days.",
        " ",
        "  ",
        "\n",
        "\n\n",
        "[3]",
        "“Rest”, ",
        "a | b\n",
        "- ",
        "é",
    ]
)
DOCUMENTS = st.lists(PIECES, min_size=3, max_size=40).map("".join)


@given(DOCUMENTS, st.data())
def test_every_quote_is_verbatim_at_its_place_in_the_text_that_is_kept(source: str, data: st.DataObject) -> None:
    try:
        parsed = parse_markdown(source.encode(), Limits())
    except UnreadableDocument:
        return
    text = make_extracted(parsed).text
    chunks = chunk_document(parsed, sizes=ChunkSizes(target=12, most=20, small=6, tiny=2))
    hits = [Hit(as_passage(text[chunk.start : chunk.end], chunk.start, chunk.end), 1.0, None, 1.0) for chunk in chunks]
    answer = ""
    for _ in range(data.draw(st.integers(0, 4))):
        start, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 80))
        claim = data.draw(st.sampled_from([text[start : start + length], "Nothing of the kind.", ""]))
        answer += f"{claim.replace(' ', '  ')} [{data.draw(st.integers(0, len(hits) + 1))}]. "
    _, citations = make_citations(answer, hits)
    for citation in citations:
        assert text[citation.start : citation.end] == citation.quote == citation.quote.strip() != ""


def as_passage(text: str, start: int, end: int) -> Passage:
    return Passage("p", "d", "Title", "a.md", None, None, "", start, end, "en", text, 1)


def test_a_quote_stays_verbatim_where_neighbours_were_joined_over_unknown_white_space() -> None:
    document = "A deposit of one month is due.  Rent is paid in advance."
    parts = [Passage("p1", "d1", "Title", "a.md", None, None, "", 0, 30, "en", document[:30])]
    parts.append(Passage("p2", "d1", "Title", "a.md", None, None, "", 32, 56, "en", document[32:]))
    together = join_neighbours([Hit(part, 1.0, 0.9, 4.0) for part in parts], limit=5)
    assert len(together) == 1
    _, cited = make_citations("A deposit of one month is due. Rent is paid in advance. [1]", together)
    assert [document[one.start : one.end] for one in cited] == [one.quote for one in cited]


def test_marks_can_be_taken_out() -> None:
    assert remove_marks("Open at 8 [1]. Closed [2][3].") == "Open at 8. Closed."
