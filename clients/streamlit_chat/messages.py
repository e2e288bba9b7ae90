"""The messages of a conversation, as a visitor sees them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clients.api_client import Message
from clients.streamlit_chat.doubts import show_doubts, with_doubts
from clients.streamlit_chat.markdown import answer_markdown
from clients.streamlit_chat.sources import marks_of, show_sources

# A file of ours: Streamlit fetches the icons it has for a browser's tab from a font server.
ICON = Path(__file__).with_name("favicon.svg")
_AVATARS = {"user": ":material/person:", "assistant": str(ICON)}


def bubble(role: str) -> DeltaGenerator:
    """Room for a message of "user" or "assistant"."""
    return st.chat_message(role, avatar=_AVATARS.get(role))


def show_messages(
    messages: Sequence[Message], broken_off: dict[int, str], rate: Callable[[Message], None], *, offset: int = 0
) -> None:
    """The messages, what *rate* has below an answer, and after a question whose answer never became whole what was
    seen of it; *offset* more stand before them."""
    for index, message in _without_repeats(messages):
        place = offset + index
        with bubble(message.role):
            if message.role == "user":
                st.text(message.content)
            else:
                show_answer(message, place)
                rate(message)
        answered = index + 1 < len(messages) and messages[index + 1].role != "user"
        if place in broken_off and message.role == "user" and not answered:
            show_broken_off(broken_off[place])


def show_answer(message: Message, place: int) -> None:
    """An answer with its marks and, below it, which sentences are in doubt and what the marks lead to."""
    text = with_doubts(message.content, message.doubts)
    st.markdown(answer_markdown(text, marks_of(message.citations, place)))
    show_doubts(message.content, message.doubts)
    show_sources(message.citations, place)


def show_draft(text: str) -> None:
    """What has come of an answer that is not followed at the moment."""
    with bubble("assistant"):
        st.markdown(answer_markdown(f"{text} …"))


def show_broken_off(text: str) -> None:
    """What was seen of an answer that never became whole, marked as such."""
    with bubble("assistant"):
        st.markdown(answer_markdown(text))
        st.caption(":material/stop_circle: Stopped before its end")


def _without_repeats(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    """The messages with their indexes, without questions that were asked again because the first time failed."""
    for place, (message, following) in enumerate(zip_longest(messages, messages[1:])):
        if following is None or (message.role, message.content) != (following.role, following.content):
            yield place, message
