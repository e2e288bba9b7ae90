"""Asking a question, and drawing the answer while it comes."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime import exists, get_instance
from streamlit.runtime.scriptrunner import get_script_run_ctx

from clients.api_client import Answer, ApiClient, Conversation, Message, Stage, Started, Token
from clients.streamlit_chat.markdown import answer_markdown
from clients.streamlit_chat.messages import bubble, show_answer
from clients.streamlit_chat.polling import polled
from clients.streamlit_chat.shelf import show_shelf
from clients.streamlit_chat.talk import Attempt, Talk, put_in_address

_LOOK_UP_EVERY_S = 0.1
_STAGES = {
    "contextualize": "Reading the conversation…",
    "retrieve": "Searching the documents…",
    "answer": "Writing the answer…",
    "verify": "Checking the answer…",
}


def answer_question(talk: Talk, api: ApiClient, before: Conversation, question: str) -> None:
    """Ask and draw the answer while it comes.

    Streamlit may stop the script at any line here, so until the answer is whole the tab knows nothing for certain: the
    next run asks the API how far the conversation has come, and does not ask the question again.

    Raises:
        ApiError: the API is away or refuses.
    """
    talk.attempt = attempt = Attempt(question, before)
    talk.question = talk.conversation = None
    with bubble("assistant"):
        place = st.empty()
        answer = _take_events(talk, attempt, api, place)
        message = Message("assistant", answer.answer, answer.citations)
        with place.container():
            show_answer(message, len(before.messages) + 1)
    said = (Message("user", question), message)
    talk.conversation = replace(before, messages=(*before.messages, *said), persistence=answer.persistence)
    talk.attempt = None


def _take_events(talk: Talk, attempt: Attempt, api: ApiClient, place: DeltaGenerator) -> Answer:
    stream = api.ask_stream(talk.conversation_id, attempt.question)
    with closing(polled(stream, _LOOK_UP_EVERY_S, left=_leaving())) as events:
        for event in events:
            if event is None:
                st.session_state.get("talk")  # lets Streamlit stop the script here
            elif isinstance(event, Started):
                put_in_address(talk)
                show_shelf(talk)
            elif isinstance(event, Stage) and not attempt.text:
                place.caption(_STAGES.get(event.stage, "Working…"))
            elif isinstance(event, Token):
                attempt.text += event.content
                # Streamlit sends the browser the latest drawing alone, at most every 10 ms.
                place.markdown(answer_markdown(attempt.text) + " ▌")
            elif isinstance(event, Answer):
                return event
    raise AssertionError("ask_stream ends with an answer or an error")


def _leaving() -> Callable[[], bool]:
    """What tells, when called, whether this tab's browser has gone."""
    context = get_script_run_ctx()
    session_id = context.session_id if context else ""
    return lambda: exists() and not get_instance().is_active_session(session_id)
