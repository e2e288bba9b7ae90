"""The chat page's texts in its languages."""

import json
from string import Formatter

import pytest

from clients.streamlit_chat.texts import LANGUAGES, read_texts
from tests.service import ROOT

SHARED = ("sources", "closest")


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_and_the_widget_call_sources_the_same(language: str) -> None:
    of_the_widget = json.loads((ROOT / "clients/widget/texts.json").read_text("utf-8"))[language]
    assert {name: read_texts(language)[name] for name in SHARED} == {name: of_the_widget[name] for name in SHARED}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_texts_with_the_same_placeholders(language: str) -> None:
    texts, english = read_texts(language), read_texts("en")
    assert list(texts) == sorted(english)
    assert {name: placeholders(text) for name, text in texts.items()} == {
        name: placeholders(text) for name, text in english.items()
    }
    assert all(text.strip() for text in texts.values())
