"""An answer as it is cut into sentences while it comes."""

import pytest

from api.spoken_sentences import LONGEST_PIECE, SentenceCutter

TEXTS = {
    "A room costs 850,000. [1] The office opens at nine [2, 3]. Ask there!": [
        "A room costs 850,000.",
        "The office opens at nine.",
        "Ask there!",
    ],
    "Say “Dr.” Smith is in. She knows.": ["Say “Dr.” Smith is in.", "She knows."],
    "Ask Dr. Ana B. Reyes, e.g. on Mondays. She knows.": ["Ask Dr. Ana B. Reyes, e.g. on Mondays.", "She knows."],
    "It opens on 3. May at Nr. 5. A room costs Rp. 850.000. It costs 3. Mary knows.": [
        "It opens on 3. May at Nr. 5.",
        "A room costs Rp. 850.000.",
        "It costs 3.",
        "Mary knows.",
    ],
    "It takes 3.5 days. then nothing… Really?! Yes": ["It takes 3.5 days. then nothing…", "Really?!", "Yes."],
    "## Fees\nThree steps:\n\n1. Pay the fee.\n2. Bring it [1]\n- Or wait\n\nThen come": [
        "Fees.",
        "Three steps:",
        "Pay the fee.",
        "Bring it.",
        "Or wait.",
        "Then come.",
    ],
    "| 2024 | 120 |\n| 1 | **850,000** [1] |\n| - 5 | 1. |\n": ["2024. 120.", "1. 850,000.", "- 5. 1."],
    "| Room | Price |\n|---|---:|\n| Single | 850,000 [1] |\n\nPaid monthly.": [
        "Room. Price.",
        "Single. 850,000.",
        "Paid monthly.",
    ],
    "**This is bold. So is this.** [Terms](https://a.b/c.d) apply to `all`.": [
        "This is bold.",
        "So is this.",
        "Terms apply to all.",
    ],
    "¿Cuánto cuesta? «Nada.» 这是第一句。这是第二句。": ["¿Cuánto cuesta?", "«Nada.»", "这是第一句。", "这是第二句。"],
    "[1] \n\n --- \n\n [2]": [],
    "": [],
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_sentences_are_the_same_however_the_text_comes(text: str, expected: list[str], size: int) -> None:
    cutter = SentenceCutter()
    said = [one for at in range(0, len(text), size) for one in cutter.feed(text[at : at + size])]
    assert [*said, *cutter.finish()] == expected


def test_a_sentence_is_given_as_soon_as_the_next_one_begins() -> None:
    cutter = SentenceCutter()
    assert list(cutter.feed("A room costs 850,000. ")) == []
    assert list(cutter.feed("T")) == ["A room costs 850,000."]


@pytest.mark.parametrize("word", ["word ", "字", "[1, 2] word "])
def test_text_without_an_end_is_cut_at_the_limit_and_nothing_is_lost(word: str) -> None:
    cutter, text = SentenceCutter(), word * 2000
    said = [*cutter.feed(text), *cutter.finish()]
    assert max(map(len, said)) <= LONGEST_PIECE + 1  # with the full stop that is spoken as a pause
    kept = "".join(said).replace(".", "").replace(" ", "")
    assert kept == text.replace("[1, 2]", "").replace(" ", "")
