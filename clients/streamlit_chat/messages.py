"""The messages of a conversation, as a visitor sees them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clients.api_answers import Message
from clients.run_events import Clarification
from clients.streamlit_chat.actions import show_question_actions
from clients.streamlit_chat.attempts import ask
from clients.streamlit_chat.charts import show_charts
from clients.streamlit_chat.doubts import mark_doubts, show_doubts
from clients.streamlit_chat.markdown import answer_markdown, escape_markdown
from clients.streamlit_chat.numbers import number_marks, renumber
from clients.streamlit_chat.sources import find_marks, show_sources
from clients.streamlit_chat.tables import show_tables
from clients.streamlit_chat.talk import current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.unanswered import Unanswered, find_reason, list_not_taken

# A file of ours: Streamlit fetches the icons it has for a browser's tab from a font server.
ICON = Path(__file__).with_name("favicon.svg")
_AVATARS = {"user": ":material/person:", "assistant": str(ICON)}


def open_bubble(role: str) -> DeltaGenerator:
    """Room for a message of "user" or "assistant"."""
    return st.chat_message(role, avatar=_AVATARS.get(role))


def show_messages(
    messages: Sequence[Message],
    show_actions: Callable[[Message, int, str | None], None],
    *,
    broken_off: Mapping[int, str],
    unanswered: Sequence[Unanswered],
    offset: int = 0,
) -> None:
    """The messages, *offset* more stand before them.

    Below an answer is what *show_actions* has for it, its place, and its question where it is the last; below a
    question without one what was seen of it (*broken_off*) and why there is no more (*unanswered*).
    """
    refused = list_not_taken(unanswered, messages, offset)
    for index, message in _without_repeats(messages):
        place = offset + index
        while refused and refused[0].place <= place:
            _show_left(refused.pop(0))
        following = messages[index + 1].role if index + 1 < len(messages) else None
        if message.role == "user" and following == "user":
            left = Unanswered(message.content, place, find_reason(message, place, unanswered))
            _show_left(left, broken_off.get(place))
        elif message.role == "user":
            _show_question(message, place)
            if following is None and place in broken_off:
                show_broken_off(broken_off[place])
        else:
            with open_bubble(message.role):
                show_answer(message, place)
                is_last = following is None and index > 0
                show_actions(message, place, messages[index - 1].content if is_last else None)
    for each in refused:
        _show_left(each)


def _show_question(question: Message, place: int) -> None:
    with open_bubble("user"):
        st.text(question.content, width="stretch")  # Arabic begins at the right
        show_question_actions(question, place)


def show_waiting(question: str) -> None:
    """A question that waits for the answer to the one before; by the key box.js knows that there is one."""
    with st.container(key="waiting"), open_bubble("user"):
        st.text(question, width="stretch")


def _show_left(left: Unanswered, seen: str | None = None) -> None:
    """A question after which another one was asked without an answer to it; what was *seen* of one."""
    if seen:
        _show_question(Message("user", left.question), left.place)
        show_broken_off(seen, left.reason)
    else:
        with open_bubble("user"):
            st.text(left.question, width="stretch")
            st.caption(
                say("no_answer_because", reason=escape_markdown(left.reason)) if left.reason else say("no_answer")
            )


def show_answer(message: Message, place: int) -> None:
    """An answer with its marks and, below it, which sentences are in doubt and what the marks lead to."""
    if message.fallback_reason:
        st.caption(f":material/cloud_off: {say('is_away_quotes' if message.citations else 'is_away')}")
    if message.clarification:
        _show_clarification(message.clarification, place)
        return
    text = mark_doubts(message.content, message.doubts)
    st.markdown(answer_markdown(text, find_marks(message.citations, place)))
    show_doubts(message, place)
    show_charts(message.charts, place)
    if not message.charts:  # which have tables of their own
        show_tables(message.tables, place)
    show_sources(message, place)


def _show_clarification(asked: Clarification, place: int) -> None:
    """A question back, with a button for each choice while nothing else has been said since."""
    st.markdown(escape_markdown(asked.question))
    conversation = current_talk().conversation
    is_over = conversation is not None and place + 1 < conversation.length
    for number, choice in enumerate(asked.choices):
        key = f"choice-{place}-{number}"
        st.button(escape_markdown(choice), key=key, on_click=_choose, args=(choice,), disabled=is_over)


def _choose(choice: str) -> None:
    ask(current_talk(), choice)


def show_draft(text: str) -> None:
    """What has come of an answer that is not followed at the moment."""
    with open_bubble("assistant"):
        st.markdown(answer_markdown(renumber(f"{text} …", number_marks(text))))


def show_broken_off(text: str, reason: str = "") -> None:
    """What was seen of an answer that never became whole, marked as such."""
    with open_bubble("assistant"):
        st.markdown(answer_markdown(renumber(text, number_marks(text))))
        told = say("stopped_because", reason=escape_markdown(reason)) if reason else say("stopped")
        st.caption(f":material/stop_circle: {told}")


def _without_repeats(messages: Sequence[Message]) -> Iterator[tuple[int, Message]]:
    """The messages with their indexes, without questions that were asked again because the first time failed."""
    for place, (message, following) in enumerate(zip_longest(messages, messages[1:])):
        if following is None or (message.role, message.content) != (following.role, following.content):
            yield place, message
