"""Questions about the last result: answered from its rows in the language of the talk, or left to others."""

from dataclasses import replace

import pytest

from agents.tools.last_result import LastResult, keep_rows, load_last
from datasources.answers.following import format_followup
from datasources.questions.continuing import continues_result
from datasources.questions.followup_parts import refers_to_result
from datasources.questions.followups import read_followup
from datasources.questions.words import detect_question_language
from utils.query_tables import QueryColumn, QueryTable

PREVIOUS = "Which machines are due this month?"
COLUMNS = (
    QueryColumn("name", "name; What people call it."),
    QueryColumn("next_maintenance", "next_maintenance; due; vence; jatuh tempo"),
    QueryColumn("operating_hours", "operating_hours; hours; horas; jam"),
    QueryColumn("status", "status; estado"),
)
ROWS = (
    ("Pump A1", "2026-11-03", 1200, "Active"),
    ("Motor B2", "2026-11-30", 2400, "Stopped"),
    ("Fan C3", "2026-11-12", 600, "Active"),
)
TABLE = QueryTable("Plants", "SELECT", COLUMNS, ROWS, 3)
A1, B2, C3 = (
    "Pump A1 (3 November 2026, 1,200 hours, Active)",
    "Motor B2 (30 November 2026, 2,400 hours, Stopped)",
    "Fan C3 (12 November 2026, 600 hours, Active)",
)
B2_ES = "Motor B2 (30 de noviembre de 2026, 2400 horas, Stopped)"
TOLD = {
    "Which of these is the oldest?": f"Earliest next maintenance: {A1}.",
    "which one is due last?": f"Latest next maintenance: {B2}.",
    "And the second one?": f"{B2}.",
    "the last one": f"{C3}.",
    "and the first one?": f"{A1}.",
    "What about the first two?": "2 of them:",
    "Which of these machines has the most hours?": f"Largest operating hours: {B2}.",
    "sum them up": "The sum of operating hours over these 3 rows is 4,200 hours.",
    "what is the average?": "The mean of operating hours over these 3 rows is 1,400 hours.",
    "How many of these are active?": "There are 2.",
    "sort them by hours": "The 3 rows:",
    "the two newest": "2 of them:",
    "And the ones above 1,000?": "2 of them:",
    "and with at least 2,400 hours?": f"{B2}.",
    "How many of them have less than 1200 hours?": "There are 1.",
    "How much do they add up to?": "The sum of operating hours over these 3 rows is 4,200 hours.",
    "¿Cuánto suman?": "La suma de operating hours en estas 3 filas es 4200 horas.",
    "¿y los de más de 1.199,5?": "2 de ellas:",
    "Berapa totalnya?": "Total operating hours dari 3 baris ini adalah 4.200 jam.",
    "dan yang di bawah 1.200": "Fan C3 (12 November 2026, 600 jam, Active).",
    "¿Y el segundo?": f"{B2_ES}.",
    "¿Cuál de estas tiene más horas?": f"Mayor operating hours: {B2_ES}.",
    "súmalas": "La suma de operating hours en estas 3 filas es 4200 horas.",
    "Yang kedua?": "Motor B2 (30 November 2026, 2.400 jam, Stopped).",
    "jumlahkan": "Total operating hours dari 3 baris ini adalah 4.200 jam.",
    "mana yang jamnya terbanyak?": "Operating hours terbesar: Motor B2 (30 November 2026, 2.400 jam, Stopped).",
}  # fmt: skip


@pytest.mark.parametrize(("question", "told"), TOLD.items())
def test_what_is_asked_of_the_last_result_is_worked_out_from_its_rows(question: str, told: str) -> None:
    asked = read_followup(question, TABLE, PREVIOUS)
    assert asked is not None
    assert format_followup(asked, TABLE, detect_question_language(question, PREVIOUS))[0] == told


@pytest.mark.parametrize(
    "question",
    [
        "How much does a dormitory room cost?",
        "What is the second campus?",
        "How many machines are there?",  # of all, not of these
        "How many hours are there?",
        "What are these for?",
        "Which of these is purple?",
        "the fourth one",
        "thanks",
        "the ones over 9000",  # other rows may be meant
        "sum up the names of them",
        "",
        "these " * 31,
    ],
)
def test_what_the_result_does_not_explain_is_left_to_others(question: str) -> None:
    assert read_followup(question, TABLE, PREVIOUS) is None


@pytest.mark.parametrize(
    ("question", "is_one"),
    [
        ("and the ones above 5 kilos?", True),
        ("Which of these is purple?", True),
        ("¿Cuáles de ellas son moradas?", True),
        ("¿y en Jakarta?", True),
        ("and next month?", True),
        ("ordénalas por precio", True),
        ("kalau di Bandung?", True),
        ("the fourth one", True),
        ("sum up the names of them", True),
        ("What are these for?", False),
        ("And how many credits do I need?", False),
        ("What is the second campus?", False),
        ("How much does a dormitory room cost?", False),
        ("and the library?", False),
        ("y la biblioteca?", False),
        ("Bagaimana cara mendaftar?", False),
        ("Berapa biayanya?", False),
        ("thanks", False),
        ("", False),
        ("these " * 31, False),
    ],
)
def test_what_reads_as_a_follow_up_of_figures_is_told_from_a_question_to_documents(question: str, is_one: bool) -> None:
    assert continues_result(question, TABLE, PREVIOUS) == is_one


def test_nothing_is_said_of_rows_that_are_not_known() -> None:
    cut = replace(TABLE, row_count=40)
    assert read_followup("sum them up", cut, PREVIOUS) is None
    assert read_followup("the last one", cut, PREVIOUS) is None
    assert read_followup("the second one", cut, PREVIOUS) is not None
    counted = QueryTable("Plants", "SELECT", (QueryColumn("machines", function="COUNT"),), ((15,),), 1)
    assert read_followup("how many of these are there?", counted, PREVIOUS) is None  # neither 1 nor known to be 15
    assert read_followup("Which of these is due first?", counted, PREVIOUS) is None  # it is not the figure
    means = replace(TABLE, columns=(*COLUMNS[:2], replace(COLUMNS[2], function="AVG"), COLUMNS[3]))
    assert read_followup("sum them up", means, PREVIOUS) is None


def test_what_was_computed_is_named_in_the_language_of_the_question() -> None:
    columns = (QueryColumn("status"), QueryColumn("number of machines", function="COUNT"))
    table = QueryTable("Plants", "SELECT", columns, (("Active", 3), ("Stopped", 1)), 2)
    asked = read_followup("súmalos", table, PREVIOUS)
    assert asked is not None
    assert format_followup(asked, table, "es")[0] == "La suma de número de machines en estas 2 filas es 4."
    means = replace(table, columns=(columns[0], QueryColumn("average hours of machines", function="AVG")))
    asked = read_followup("mana yang tertinggi?", means, PREVIOUS)
    assert asked is not None
    assert format_followup(asked, means, "id")[0] == "Rata-rata hours terbesar: Active (3 jam)."


def test_this_month_points_at_no_result() -> None:
    assert refers_to_result("Which of these machines has the most hours?")
    assert refers_to_result("¿Cuántas de ellas vencen este mes?")
    assert refers_to_result("berapa mesin tersebut?")
    assert refers_to_result("berapa rata-rata jamnya?", PREVIOUS)
    assert not refers_to_result("mesin mana yang jamnya terbanyak?", "mesin jatuh tempo bulan ini")
    for question in ("mesin yang perlu perawatan bulan ini", "máquinas este mes", "How many machines that are due"):
        assert not refers_to_result(question)


def test_what_is_kept_is_bounded() -> None:
    many = tuple(("x" * 150, "2026-11-03", number, "Active") for number in range(1_000))
    kept = keep_rows(LastResult(PREVIOUS, replace(TABLE, row_count=1_000), "id", "stamp", "number"), many)
    assert kept is not None
    assert (len(kept.table.rows), kept.table.is_whole) == (200, False)
    assert load_last(kept.dump()) == kept
    wide = tuple(("x" * 10_000, "y" * 10_000, "z" * 10_000, "w" * 10_000) for _ in range(200))
    assert keep_rows(LastResult(PREVIOUS, replace(TABLE, row_count=200), "id", "stamp"), wide) is None
    assert keep_rows(LastResult(PREVIOUS, replace(TABLE, row_count=0), "id", "stamp"), ()) is None
    assert load_last(None) is None
