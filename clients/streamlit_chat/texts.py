"""What the page says, in the language that the visitor has chosen, else in that of the browser."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import streamlit as st

LANGUAGES = {"en": "English", "es": "Español", "id": "Bahasa Indonesia"}
LANGUAGE_COOKIE = "pustaka_language"  # the page's server is told by it, before any script runs
_DEFAULT, _CHOSEN = "en", "chosen-language"
_written_in: ContextVar[str] = ContextVar("written_in", default="")
_FOLDER = Path(__file__).with_name("texts")


def get_language() -> str:
    """The language of the page: the one that was chosen, else the browser's where there are texts in it, else
    English."""
    if written_in := _written_in.get():
        return written_in
    chosen = st.session_state.get(_CHOSEN) or st.context.cookies.get(LANGUAGE_COOKIE)
    return choose_language(chosen, st.context.locale)


@contextmanager
def write_in(language: str) -> Iterator[None]:
    """Say everything in that *language*, where Streamlit knows no visitor: when a file is asked for."""
    before = _written_in.set(language)
    try:
        yield
    finally:
        _written_in.reset(before)


def set_language(code: str) -> None:
    """Speak that of `LANGUAGES` from now on, in this tab."""
    st.session_state[_CHOSEN] = code


def find_spoken_language() -> str:
    """The language that the visitor likely speaks, "" where that is not known.

    An English page says little: many who read English speak another language.
    """
    language = get_language()
    return "" if language == _DEFAULT else language


def choose_language(chosen: object, asked: object) -> str:
    """The one of `LANGUAGES` that was *chosen*, else the one that a browser has *asked* for first, else English."""
    first = asked.lstrip()[:2].lower() if isinstance(asked, str) else ""
    return next((each for each in (chosen, first) if isinstance(each, str) and each in LANGUAGES), _DEFAULT)


def say(name: str, /, **values: object) -> str:
    """The text of that *name*; *values* stand where it has braces, in Markdown where the text is drawn as such."""
    return read_texts(get_language())[name].format(**values)


@cache
def read_texts(language: str) -> Mapping[str, str]:
    """All texts in one of `LANGUAGES`, by name."""
    texts: dict[str, str] = json.loads(_FOLDER.joinpath(f"{language}.json").read_text("utf-8"))
    return texts
