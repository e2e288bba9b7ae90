"""Sentences of an answer that its sources do not support: underlined where they stand, and listed with the reason."""

import re
from collections.abc import Sequence

import streamlit as st

from clients.api_answers import Message
from clients.run_events import Doubt
from clients.streamlit_chat.answer_reading import DOUBT_BEGINS, DOUBT_ENDS
from clients.streamlit_chat.markdown import escape_markdown, make_bullet_list
from clients.streamlit_chat.numbers import number_citations, renumber
from clients.streamlit_chat.texts import say

SIGN = "⚠"
_UNSAID = re.compile(r"(?<!\s)\s*+\[\d{1,3}\]|\*\*|__|`")  # marks and Markdown
_OPENING = re.compile(r"(?:[\s>#*+-]|\d{1,9}[.)]\s)*+")  # what makes a line a heading, a list or a quote
_FOREIGN = str.maketrans(DOUBT_BEGINS + DOUBT_ENDS, "\ufffd\ufffd")  # as fonts of PDF files may have them
_SHOWN = 160  # characters of a sentence


def mark_doubts(text: str, doubts: Sequence[Doubt]) -> str:
    """*text* with each sentence in doubt between two signs of `answer_markdown`, and a warning sign behind it.

    Rows of a table are left as they are: it would break.
    """
    text = text.translate(_FOREIGN)
    for doubt in sorted(doubts, key=lambda each: -each.end):
        if 0 <= doubt.start < doubt.end <= len(text) and text[doubt.end - 1] != "|":
            said = text[doubt.start : doubt.end]
            opening = _OPENING.match(said)
            at = opening.end() if opening else 0
            marked = f"{said[:at]}{DOUBT_BEGINS}{said[at:]}{DOUBT_ENDS}\u00a0{SIGN}"
            text = f"{text[: doubt.start]}{marked}{text[doubt.end :]}"
    return text


def show_doubts(message: Message, place: int) -> None:
    """A line that opens to the sentences which their sources do not support, and why; nothing where there is none."""
    doubts = message.doubts
    if doubts:
        told = say("doubts", number=len(doubts)) if len(doubts) > 1 else say("doubts_one")
        numbers = number_citations(message.citations)
        with st.expander(f"{SIGN} {escape_markdown(told)}", key=f"doubts-{place}"):
            st.markdown(make_bullet_list(renumber(_line(message.content, doubt), numbers) for doubt in doubts))


def _line(text: str, doubt: Doubt) -> str:
    said = " ".join(_UNSAID.sub("", text[doubt.start : doubt.end]).split())
    short = said if len(said) <= _SHOWN else f"{said[:_SHOWN].rstrip()}…"
    return f"“{short}” – {doubt.reason}"
