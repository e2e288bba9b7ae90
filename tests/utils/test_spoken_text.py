"""What of an answer is read aloud."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.spoken_text import LONGEST_SPOKEN, cut_spoken_text, make_spoken_text


@pytest.mark.parametrize(
    ("answer", "spoken"),
    [
        (
            "A room costs **IDR 650,000** [1]. Rent is due on the fifth [2, 3].",
            "A room costs IDR 650,000. Rent is due on the fifth.",
        ),
        ("# Rules\n\n- Two nights [1]\n- No pets!", "Rules.\nTwo nights.\nNo pets!"),
        ("Write to room_info@example.org", "Write to room_info@example.org."),
        ("| Room | Rent |\n|---|---|\n| Single | 950 |", "Room.\nRent.\nSingle.\n950."),
        ("See [the page](https://example.org)\nnow", "See the page now."),
        ("", ""),
        ("***", ""),
    ],
)
def test_words_alone_are_spoken(answer: str, spoken: str) -> None:
    assert make_spoken_text(answer) == spoken


def test_a_long_answer_ends_with_a_whole_sentence() -> None:
    spoken = cut_spoken_text(make_spoken_text("The library opens at eight. " * 500))
    assert spoken.endswith("at eight.")
    assert LONGEST_SPOKEN - 30 < len(spoken) <= LONGEST_SPOKEN


@given(st.text(max_size=6_000))
def test_no_answer_is_too_long_or_fails(answer: str) -> None:
    assert len(cut_spoken_text(make_spoken_text(answer))) <= LONGEST_SPOKEN
