"""Texts of documents and models on the page: as they are, and harmless."""

import pytest

from clients.streamlit_chat.markdown import answer_markdown, plain_markdown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A room costs $410 and laundry $30. [1]", r"A room costs \$410 and laundry \$30. [1]"),
        ("See :red[1] and note:book[2].", r"See \:red[1] and note\:book[2]."),
        ("Open 10:30[1]; at http://x.org [2]", "Open 10:30[1]; at http://x.org [2]"),
        ("- a list\n- **bold**", "- a list\n- **bold**"),
        ("Run `echo $HOME`.", "Run `echo $HOME`."),
        ("```\n$ ls\n``` costs $1", "```\n$ ls\n``` costs \\$1"),
        ("```\n$ still coming", "```\n$ still coming"),
    ],
)
def test_an_answer_keeps_its_markdown_and_its_prices(text: str, shown: str) -> None:
    assert answer_markdown(text) == shown


@pytest.mark.parametrize("text", ["![x](http://evil/?q=1)", "`![x](http://evil)`", "```\n![x][1]\n```", "` ![x](u)\n`"])
def test_no_answer_makes_the_readers_browser_fetch_an_image(text: str) -> None:
    assert "![" not in answer_markdown(text)


def test_a_title_shows_as_it_is() -> None:
    assert plain_markdown("A *new* [rule]\n# $5_000 <b>") == r"A \*new\* \[rule\] \# \$5\_000 \<b\>"
