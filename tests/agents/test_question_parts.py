"""Questions of two parts: where they may be cut, and whether a part asks for something."""

import pytest

from agents.tools.question_parts import asks_something, split_parts

LUBRICATION = "what does the guide say about lubrication?"


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            f"How many machines are due this month, and {LUBRICATION}",
            ("How many machines are due this month", LUBRICATION),
        ),
        ("How many machines are due? Who may book a room?", ("How many machines are due", "Who may book a room?")),
        ("¿Cuántas máquinas hay y qué dice la guía?", ("¿Cuántas máquinas hay", "qué dice la guía?")),
        ("Berapa mesin yang ada, dan apa kata panduan?", ("Berapa mesin yang ada", "apa kata panduan?")),
    ],
)
def test_a_question_is_cut_where_another_begins(question: str, parts: tuple[str, str]) -> None:
    assert parts in list(split_parts(question))
    assert all(map(asks_something, parts))


@pytest.mark.parametrize("question", ["How many machines are there and jobs?", "Salt and pepper", "", "a, " * 300])
def test_what_does_not_ask_is_no_part(question: str) -> None:
    assert not any(asks_something(one) and asks_something(other) for one, other in split_parts(question))
