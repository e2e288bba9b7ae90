"""What the page says, in the language of the visitor's browser."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import streamlit as st

LANGUAGES = ("en", "es", "id")
_FOLDER = Path(__file__).with_name("texts")


def get_language() -> str:
    """The language of the page: the browser's where there are texts in it, else English."""
    return choose_language(st.context.locale or "")


def find_spoken_language() -> str:
    """The language that the visitor likely speaks, "" where that is not known.

    An English browser says little: many who read English speak another language.
    """
    language = choose_language(st.context.locale or "")
    return "" if language == LANGUAGES[0] else language


def choose_language(asked: str) -> str:
    """Of `LANGUAGES` the one that a browser names first; English where that is none of them."""
    first = asked.lstrip()[:2].lower()
    return first if first in LANGUAGES else LANGUAGES[0]


def say(name: str, /, **values: object) -> str:
    """The text of that *name*; *values* stand where it has braces, in Markdown where the text is drawn as such."""
    return read_texts(get_language())[name].format(**values)


@cache
def read_texts(language: str) -> Mapping[str, str]:
    """All texts in one of `LANGUAGES`, by name."""
    texts: dict[str, str] = json.loads(_FOLDER.joinpath(f"{language}.json").read_text("utf-8"))
    return texts
