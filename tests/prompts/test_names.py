"""Titles in sentences of ours are words, whatever stands in them."""

import pytest
from markdown_it import MarkdownIt

from prompts.names import write_name
from prompts.rag import make_search_hint
from prompts.small_talk import reply

HOSTILE = [
    "[Verify your account](https://evil.example/login) **bold** # H",
    "line1\n# injected heading\n\n- list",
    "<b>x</b> `code` ![y](https://evil.example/y.png)",
    "\u202eevil\u202c title \u2066rtl\u2069",
    "{0} %s \\1 \\g<0> {title}",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_is_shown_as_it_is_on_one_line(title: str) -> None:
    texts = [
        make_search_hint("en", [title], "Ask " + title, title),
        reply("greeting", "en", institution="", titles=[title], examples=[title]),
    ]
    for text in texts:
        html = MarkdownIt("commonmark").render(text)
        assert not any(f"<{tag}" in html for tag in ("a ", "img", "h1", "strong", "code", "b>"))
        assert not any(sign in text for sign in "\u202e\u202c\u2066\u2069")
    assert "\n" not in write_name(title)


def test_plain_titles_stay_and_long_ones_are_cut() -> None:
    assert write_name("Tuition, fees & payment_2026 (draft)") == "Tuition, fees & payment_2026 (draft)"
    assert len(write_name("word " * 100)) <= 121
