"""Sentences of an answer that its sources do not support: marked where they stand, and listed with the reason."""

import re
from collections.abc import Sequence

import streamlit as st

from clients.run_events import Doubt
from clients.streamlit_chat.markdown import make_bullet_list

SIGN = "⚠"
_UNSAID = re.compile(r"(?<!\s)\s*+\[\d{1,3}\]|\*\*|__|`")  # marks and Markdown
_SHOWN = 160  # characters of a sentence


def mark_doubts(text: str, doubts: Sequence[Doubt]) -> str:
    """*text* with a sign after each sentence in doubt; none after a row of a table, which it would break."""
    for doubt in sorted(doubts, key=lambda each: -each.end):
        if 0 <= doubt.start < doubt.end <= len(text) and text[doubt.end - 1] != "|":
            text = f"{text[: doubt.end]}\u00a0{SIGN}{text[doubt.end :]}"
    return text


def show_doubts(text: str, doubts: Sequence[Doubt]) -> None:
    """A note that says which sentences their sources do not support, and why; nothing where there is none."""
    if doubts:
        lines = make_bullet_list(_line(text, doubt) for doubt in doubts)
        st.warning(f"{SIGN} The sources do not support this:\n\n{lines}")


def _line(text: str, doubt: Doubt) -> str:
    said = " ".join(_UNSAID.sub("", text[doubt.start : doubt.end]).split())
    short = said if len(said) <= _SHOWN else f"{said[:_SHOWN].rstrip()}…"
    return f"“{short}” – {doubt.reason}"
