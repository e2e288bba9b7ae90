"""Texts of documents and models on the page: as they are, and harmless."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.streamlit_chat.markdown import Mark, answer_markdown, plain_markdown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A room costs $410 and laundry $30.", r"A room costs \$410 and laundry \$30."),
        (r"A room costs \$410 and laundry \$30.", r"A room costs \$410 and laundry \$30."),
        ("See :red[x] and note:book[y].", r"See \:red[x] and note\:book[y]."),
        ("Open 10:30; at http://x.org", "Open 10:30; at http://x.org"),
        ("- a list\n- **bold**", "- a list\n- **bold**"),
        ("Run `echo $HOME`.", "Run `echo $HOME`."),
        ("```\n$ ls\n```\ncosts $1", "```\n$ ls\n```\ncosts \\$1"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("```\n$ still coming", "```\n$ still coming"),
    ],
)
def test_an_answer_keeps_its_markdown_and_its_prices(text: str, shown: str) -> None:
    assert answer_markdown(text) == shown


MARKS = {1: Mark("source-3-1", 'The "student" dormitory'), 12: Mark("source-3-12", "Fees")}
FIRST = r"""[\[1\]](#source-3-1 "The 'student' dormitory")"""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It costs 410. [1]", f"It costs 410. {FIRST}"),
        ("Both [1][12].", rf'Both {FIRST}[\[12\]](#source-3-12 "Fees").'),
        ("- item\n\n    of the item [1]", f"- item\n\n    of the item {FIRST}"),
        ("[1](http://elsewhere)", f"{FIRST}(http://elsewhere)"),
        ("[1]: http://elsewhere", f"{FIRST}: http://elsewhere"),
    ],
)
def test_a_mark_with_a_citation_leads_to_it_whatever_the_answer_makes_of_it(text: str, shown: str) -> None:
    assert answer_markdown(text, MARKS) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Nothing [2], nothing [1234].", r"Nothing \[2\], nothing [1234]."),
        ("[2]: http://elsewhere\n\n[2]", "\\[2\\]: http://elsewhere\n\n\\[2\\]"),
        (r"Not one: \[1]", r"Not one: \[1]"),
    ],
)
def test_a_mark_without_a_citation_stays_text(text: str, shown: str) -> None:
    assert answer_markdown(text, MARKS) == shown


@pytest.mark.parametrize(
    "code", ["`[1]`", "``a ` [1]``", "```\n[1]\n```", "~~~\n[1]", "text\n\n    [1]\n", "> ```\n> [1]\n> ```"]
)
def test_marks_in_code_stay_as_they_are(code: str) -> None:
    assert answer_markdown(code, MARKS) == code
    assert answer_markdown(f"{code}\n\n[1]", MARKS).endswith(f"\n{FIRST}") is not code.startswith("~~~")


@given(st.text(alphabet="ab [1]`~$\n >-:!(\\"))
def test_nothing_of_an_answer_is_lost(text: str) -> None:
    """But for what makes it harmless."""
    added = r"[\\\u200b]|\(#source-3-1 \"[^\"]*\"\)|[\[\]]"
    assert re.sub(added, "", answer_markdown(text, MARKS)) == re.sub(added, "", text)


@pytest.mark.parametrize("text", ["![x](http://evil/?q=1)", "`![x](http://evil)`", "```\n![x][1]\n```", "` ![x](u)\n`"])
def test_no_answer_makes_the_readers_browser_fetch_an_image(text: str) -> None:
    assert "![" not in answer_markdown(text)


def test_a_title_shows_as_it_is() -> None:
    assert plain_markdown("A *new* [rule]\n# $5_000 <b>") == r"A \*new\* \[rule\] \# \$5\_000 \<b\>"
