"""Chunks: exact, complete, sized, and cut where the document is."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.chunking import ChunkSizes, estimate_tokens
from ingestion.parsers.markdown import parse
from ingestion.parsers.parsed import Limits, ParsedDocument, Section, TextBuilder, clean
from tests.reading import chunk_document
from utils.errors import UnreadableDocument

SMALL = ChunkSizes(target=12, most=20, small=6, tiny=2)
SENTENCE = "The library opens at eight and closes at four. "


def words(text: str) -> int:
    return len(text.split())


def more_than_its_parts(text: str) -> int:
    """As some tokenizers count: a whole has more tokens than its parts together."""
    return words(text) * (1 + (len(text) > 40))


def document(source: str) -> ParsedDocument:
    return parse(source.encode(), Limits())


def cut(source: str, sizes: ChunkSizes) -> list[tuple[str, str]]:
    parsed = document(source)
    return [(c.heading, parsed.text[c.start : c.end]) for c in chunk_document(parsed, count_tokens=words, sizes=sizes)]


FRAGMENTS = st.sampled_from(["a", "word ", "another ", "bb. ", "ccc\n", "。", "\n\n", " "])
PIECES = st.lists(
    st.one_of(
        st.tuples(st.just("block"), st.text(max_size=300)),
        st.tuples(st.just("block"), st.lists(FRAGMENTS, max_size=60).map("".join)),
        st.tuples(st.integers(1, 4).map(str), st.text(min_size=1, max_size=20)),
        st.tuples(st.just("page"), st.just("")),
    ),
    max_size=20,
)


def build(pieces: list[tuple[str, str]]) -> ParsedDocument | None:
    builder, page = TextBuilder(Limits()), 0
    for kind, text in pieces:
        if kind == "block":
            builder.block(text)
        elif kind == "page":
            builder.begin_page(page := page + 1)
        else:
            builder.add_heading(int(kind), text)
    try:
        return builder.build(title=None, media_type="text/plain")
    except UnreadableDocument:
        return None


@given(PIECES, st.sampled_from([len, words, estimate_tokens, more_than_its_parts]))
def test_chunks_hold_all_text_once_in_order_and_never_too_much(pieces, count_tokens) -> None:  # type: ignore[no-untyped-def]
    parsed = build(pieces)
    if parsed is None:
        return
    chunks = chunk_document(parsed, count_tokens=count_tokens, sizes=SMALL)
    covered = set()
    former_end = 0
    for chunk in chunks:
        text = parsed.text[chunk.start : chunk.end]
        assert former_end <= chunk.start < chunk.end
        assert text == text.strip()
        assert count_tokens(text) <= SMALL.most or len(text) == 1
        covered.update(range(chunk.start, chunk.end))
        former_end = chunk.end
    for section in parsed.sections:
        left_out = [i for i in range(section.body, section.end) if i not in covered and not parsed.text[i].isspace()]
        assert left_out == []


@given(PIECES)
def test_a_chunk_stands_on_the_page_and_under_the_headings_it_names(pieces: list[tuple[str, str]]) -> None:
    parsed = build(pieces)
    for chunk in chunk_document(parsed, count_tokens=words, sizes=SMALL) if parsed else []:
        within = [part for part in parsed.sections if part.body < chunk.end and chunk.start < part.end]
        assert {part.page for part in within} == {chunk.page}
        for part in within:
            assert " › ".join(part.heading).startswith(chunk.heading)


def test_a_chunk_does_not_cross_a_heading_of_level_two() -> None:
    assert cut("# A\n\none two three\n\n## B\n\nfour five six\n\n## C\n\nseven eight nine", SMALL) == [
        ("A", "one two three"),
        ("A › B", "four five six"),
        ("A › C", "seven eight nine"),
    ]


def test_a_tiny_section_goes_with_its_neighbour_and_keeps_its_heading_as_text() -> None:
    assert cut("# A\n\n## B\n\nfour\n\n## C\n\nseven eight nine", SMALL) == [
        ("A", "B\n\nfour\n\nC\n\nseven eight nine")
    ]


def test_tiny_sections_without_a_common_heading_stay_apart() -> None:
    assert cut("# A\n\none\n\n# B\n\ntwo", SMALL) == [("A", "one"), ("B", "two")]


def test_short_sections_of_level_three_are_joined_up_to_a_useful_size() -> None:
    source = "## A\n\n" + "\n\n".join(f"### {n}\n\none two three" for n in "BCDE")
    assert [heading for heading, _ in cut(source, SMALL)] == ["A", "A"]


def test_a_long_section_is_cut_between_sentences() -> None:
    chunks = cut("# Hours\n\n" + SENTENCE * 9, SMALL)
    assert {heading for heading, _ in chunks} == {"Hours"}
    assert all(text.startswith("The library") and text.endswith("at four.") for _, text in chunks)


def test_a_short_rest_goes_to_the_chunk_before_it() -> None:
    assert [words(text) for _, text in cut("one two three four five six. " * 2 + "seven eight.", SMALL)] == [14]


@pytest.mark.parametrize("unit", ["word ", "x", ".", '."', "图", "a\n", "。", "- ", "ab.cd", "😀"])
def test_a_single_very_long_line_is_cut_in_linear_time(unit: str) -> None:
    def seconds(characters: int) -> float:
        builder = TextBuilder(Limits())
        builder.block((unit * characters)[:characters] + "end")
        parsed = builder.build(title=None, media_type="text/plain")
        began = time.process_time()
        chunks = chunk_document(parsed)
        spent = time.process_time() - began
        assert max(estimate_tokens(parsed.text[c.start : c.end]) for c in chunks) <= 400
        return spent

    seconds(1_000)  # loads what is loaded once
    # Quadratic time would be 64 times as long; linear is 8, the rest is for a busy machine. One of the tries is not in
    # the way of other work, nor of a collection of all that the tests before have left.
    assert any(seconds(400_000) < 32 * max(seconds(50_000), 0.01) for _ in range(5))


@pytest.mark.parametrize(
    "pump", [" ", "\n", "\u2003", " \n", "a" + " " * 300, "## A\n" + " " * 300, "。 ", "\t.\n", "é"]
)
def test_no_chunk_is_longer_than_text_of_its_size_can_be(pump: str) -> None:
    parsed = document("Leave\n\n" + pump * 10_000 + "\n\nthe end.")
    raw = ParsedDocument(
        text := "x" + pump * 10_000 + "y", (Section((), 0, None, 0, 0, len(text)),), None, "text/plain"
    )
    for each in (parsed, raw):  # the second was read before white space was shortened
        chunks = chunk_document(each)
        assert max(chunk.end - chunk.start for chunk in chunks) <= ChunkSizes().longest
        said = "".join("".join(each.text[chunk.start : chunk.end].split()) for chunk in chunks)
        assert said == "".join(each.text.split()) or "#" in pump  # but headings


def test_white_space_without_an_end_is_shortened_and_the_lines_of_ordinary_text_are_not() -> None:
    ordinary = "def f():\n    return 1\n\n\nname            price\nroom              850"
    assert clean(ordinary) == ordinary
    assert clean("a" + " " * 200 + "b") == "a" + " " * 200 + "b"
    assert clean("a" + " " * 201 + "b") == "a b"
    assert clean("a" + " \n" * 50_000 + "    b") == "a\n\n    b"
    assert clean("a\n" + " " * 400 + "b") == "a\n" + " " * 200 + "b"
