"""What counts as one sentence in three languages, in prose, lists and tables."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.chat.sentences import Sentence, split_sentences

PROSE = [
    ("en", "The fee is 5.50 euros. It is due in May.", ["The fee is 5.50 euros.", "It is due in May."]),
    ("en", "Ask Dr. Smith or J. R. Jones, e.g. by mail.", ["Ask Dr. Smith or J. R. Jones, e.g. by mail."]),
    ("en", "He said “Stop!” Then he left.", ["He said “Stop!”", "Then he left."]),
    ("en", "Pay in cash; cards are refused.", ["Pay in cash; cards are refused."]),
    ("en", "It opened in 1920.[3] It closed in 1935.", ["It opened in 1920.[3]", "It closed in 1935."]),
    ("en", "The doors open at 8 a.m. on weekdays.", ["The doors open at 8 a.m. on weekdays."]),
    ("en", "A line that is\nbroken by hand. Next.", ["A line that is\nbroken by hand.", "Next."]),
    ("id", "Penduduknya 1.015.910 jiwa. Luasnya 169,21 km².", ["Penduduknya 1.015.910 jiwa.", "Luasnya 169,21 km²."]),
    ("id", "Biaya Rp 2.500.000. Bayar di Jl. Teluk No. 10.", ["Biaya Rp 2.500.000.", "Bayar di Jl. Teluk No. 10."]),
    ("es", "¿Cuánto cuesta? Cuesta 20 €. ¡Es barato!", ["¿Cuánto cuesta?", "Cuesta 20 €.", "¡Es barato!"]),
    ("es", "La Dra. Ruiz vive en la Avda. Sur. Él no.", ["La Dra. Ruiz vive en la Avda. Sur.", "Él no."]),
    ("ja", "図書館は八時に開く。日曜は休み。", ["図書館は八時に開く。", "日曜は休み。"]),
]


@pytest.mark.parametrize(("language", "text", "sentences"), PROSE)
def test_prose_is_split_where_its_sentences_end(language: str, text: str, sentences: list[str]) -> None:
    assert [sentence.text for sentence in split_sentences(text)] == sentences


def test_list_items_are_sentences_that_know_the_line_above_them() -> None:
    text = "# Fees\nThe charges are:\n- Smoking: IDR 500,000\n- A lost key. It costs more.\n2. Third\n\nAfterwards."
    assert [(s.text, s.lead) for s in split_sentences(text)] == [
        ("The charges are:", "Fees"),
        ("Smoking: IDR 500,000", "The charges are:"),
        ("A lost key.", "The charges are:"),
        ("It costs more.", "The charges are:"),
        ("Third", "The charges are:"),
        ("Afterwards.", "Fees"),
    ]


def test_table_rows_are_sentences_that_know_the_names_of_their_columns() -> None:
    text = "Jam buka\n\n| Hari | Jam |\n|---|:---:|\n| Senin–Jumat | 08.00–20.00 |\n| Minggu | tutup |"
    assert split_sentences(text) == [
        Sentence("Senin–Jumat | 08.00–20.00", "Jam buka", "Hari | Jam"),
        Sentence("Minggu | tutup", "Jam buka", "Hari | Jam"),
    ]


def test_a_table_without_bars_around_it_and_without_column_names_loses_no_row() -> None:
    rows = ["Mangrove Hall | 312 places", "Gull House | 96 places"]
    assert [s.text for s in split_sentences("\n\n".join(rows))] == rows


def test_short_lines_above_other_text_are_headings() -> None:
    text = "TRANSPORT\n\nBUSES\n\nThe bus is free.\n\nFines\n- Parking: 5\n\nLast line"
    assert [(s.text, s.lead) for s in split_sentences(text)] == [
        ("TRANSPORT", ""),
        ("The bus is free.", "BUSES"),
        ("Parking: 5", "Fines"),
        ("Last line", "Fines"),
    ]


def test_a_text_of_headings_alone_gives_the_headings() -> None:
    assert [s.text for s in split_sentences("# Library\n## Opening hours")] == ["Library", "Opening hours"]


def test_nothing_gives_nothing() -> None:
    assert split_sentences(" \n\n---\n") == []


@example(" |\n1")
@given(st.text(alphabet="Aa1 .!?\n\r|#-:[]“”", max_size=120))
def test_every_sentence_stands_in_the_text_and_they_keep_its_order(text: str) -> None:
    position = 0
    for sentence in split_sentences(text):
        assert sentence.text.strip() == sentence.text != ""
        position = text.index(sentence.text, position) + len(sentence.text)
