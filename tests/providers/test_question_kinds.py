"""What kind of thing a question asks for, and which a sentence gives."""

import pytest

from providers.chat.question_kinds import find_kinds, find_text_kinds


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("How much is a double room?", {"money"}), ("whats the fee for a lost card", {"money"}),
        ("¿Cuánto cuesta imprimir en color?", {"money"}), ("bayar iurannya berapa kak?", {"money"}),
        ("Until what time is the pool open?", {"clock"}), ("¿A qué hora cierra?", {"clock"}),
        ("jam berapa tutup?", {"clock"}), ("what day is waste collected", {"day"}), ("hari apa libur?", {"day"}),
        ("how long can I keep a film", {"duration"}), ("¿Cuánto tiempo tengo?", {"duration"}),
        ("berapa lama disimpan?", {"duration"}), ("cuánto me esperan antes de cancelar", {"duration"}),
        ("When is it due?", {"clock", "day", "duration"}), ("kapan rapatnya?", {"clock", "day", "duration"}),
        ("When are the exams?", {"clock", "day"}), ("¿Cuándo es la feria?", {"clock", "day"}),
        ("what may I bring when I visit?", set()), ("How many books may I have?", {"number"}),
        ("who do I ask?", {"person"}), ("¿A quién pregunto?", {"person"}), ("nomor telepon kantor?", {"phone"}),
        ("what stuff do i need to bring", {"list"}), ("¿Qué documentos llevo?", {"list"}),
        ("harus bawa apa saja ya?", {"list"}), ("What is the monthly interest?", {"percent"}),
        ("Where is the library?", {"place"}), ("where do i pay", {"place"}), ("¿Dónde pido cita?", {"place"}),
        ("ambil stiker di mana", {"place"}), ("is there a room where I can rest?", set()),
        ("Is smoking allowed?", set()), ("", set()),
    ],
)  # fmt: skip
def test_the_kind_of_what_is_asked_is_told_by_the_words_of_three_languages(question: str, kinds: set[str]) -> None:
    assert find_kinds(question) == kinds


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Caps may be purchased for €2.50.", "money"), ("La entrada es gratuita.", "money"), ("Rp30.000.000", "money"),
        ("Open until 9 pm.", "clock"), ("de 16:30 a 18:45", "clock"), ("A party may go on until midnight.", "clock"),
        ("Collected on Friday.", "day"), ("hasta el 19 de octubre", "day"), ("Disimpan 21 hari.", "duration"),
        ("up to 24 jam", "duration"), ("Bunga 0,7 persen", "percent"), ("Call 0555 730 900.", "phone"),
        ("The caretaker is Mr Brenko.", "person"), ("Up to six persons", "number"),
        ("Pay in room A-112.", "place"), ("Está en la planta baja.", "place"), ("di lantai 1 Gedung D", "place"),
    ],
)  # fmt: skip
def test_a_sentence_gives_the_kinds_of_its_facts(sentence: str, kind: str) -> None:
    assert kind in find_text_kinds(sentence)


def test_an_amount_of_money_is_no_telephone_number_and_a_price_no_hour() -> None:
    assert find_text_kinds("Rp30.000.000") == {"money", "number"}
    assert "clock" not in find_text_kinds("It costs $3.10.")


def test_a_long_question_is_looked_at_in_part() -> None:
    assert find_kinds("how much " * 100_000) <= {"money", "number"}
