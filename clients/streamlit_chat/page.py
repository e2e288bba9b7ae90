"""The chat page from top to bottom."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from clients.api_client import Answer, ApiAddress, ApiClient, ApiError, Conversation, Health, Message, Stage, Token
from clients.streamlit_chat.markdown import answer_markdown, plain_markdown
from clients.streamlit_chat.polling import polled
from clients.streamlit_chat.settings import PageSettings, read_settings
from clients.streamlit_chat.sources import show_sources
from clients.streamlit_chat.talk import Talk, begin_anew, current_talk, load, put_in_address

_LONGEST_MESSAGE = 5000
_LOOK_UP_EVERY_S = 0.1
# A file of ours: Streamlit's icons would be fetched from a font server by every visitor's browser.
_ICON = Path(__file__).with_name("favicon.svg")
_STAGES = {
    "contextualize": "Reading the conversation…",
    "retrieve": "Searching the documents…",
    "answer": "Writing the answer…",
    "verify": "Checking the answer…",
}


def show_page() -> None:
    """Draw the page; called on every run of the script."""
    try:
        settings = read_settings()
    except ValueError as exc:
        st.error(plain_markdown(str(exc)))
        return
    st.set_page_config(page_title=settings.title, page_icon=_ICON)
    talk, api = current_talk(), _api(settings.api)
    _show_head(settings)
    question = st.chat_input("Ask a question", max_chars=_LONGEST_MESSAGE, submit_mode="stop")
    if question and question.strip():
        talk.question, talk.failure = question.strip(), None
    try:
        _show_talk(talk, api)
    except ApiError as failure:
        _show_failure(failure)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=ApiClient.close)
def _api(address: ApiAddress) -> ApiClient:
    return ApiClient(address)


@st.cache_data(show_spinner=False, ttl=30, max_entries=4)
def _health(address: ApiAddress) -> Health:
    return _api(address).health()


def _show_head(settings: PageSettings) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title(plain_markdown(settings.title), anchor=False)
        st.button("New chat", icon=":material/edit_square:", on_click=begin_anew)
    st.caption(_how_it_answers(settings.api))


def _how_it_answers(address: ApiAddress) -> str:
    with suppress(ApiError):  # told where it matters
        if not _health(address).language_model:
            return "Answers are quotes from the documents; no language model is configured."
    return "Answers come from the documents, each with its sources."


def _show_talk(talk: Talk, api: ApiClient) -> None:
    """The conversation, and the answer to a waiting question."""
    conversation = load(talk, api)
    if talk.gone and talk.question is None:
        st.info("This conversation has expired or does not exist. Ask a question to begin a new one.")
    for message in _without_repeats(conversation.messages):
        with st.chat_message(message.role):
            _show_message(message)
    if talk.question is not None:
        _show_exchange(talk, api, conversation, talk.question)
    elif conversation.persistence == "memory":
        _show_memory_only()


def _without_repeats(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages without questions that were asked again because the first time failed."""
    for message, following in zip_longest(messages, messages[1:]):
        if following is None or (message.role, message.content) != (following.role, following.content):
            yield message


def _show_message(message: Message) -> None:
    if message.role == "user":
        st.text(message.content)
        return
    st.markdown(answer_markdown(message.content))
    show_sources(message.citations)


def _show_exchange(talk: Talk, api: ApiClient, before: Conversation, question: str) -> None:
    """The waiting question, and its answer or why there is none."""
    with st.chat_message("user"):
        st.text(question)
    if talk.failure is not None:
        _show_failure(talk.failure)
        return
    try:
        with st.chat_message("assistant"):
            answer = _stream_answer(talk, api, question)
            show_sources(answer.citations)
    except ApiError as failure:
        talk.conversation, talk.question, talk.failure = before, question, failure
        st.rerun()
    said = (Message("user", question), Message("assistant", answer.answer, answer.citations))
    talk.conversation = replace(before, messages=(*before.messages, *said), persistence=answer.persistence)
    if answer.persistence == "memory":
        _show_memory_only()


def _stream_answer(talk: Talk, api: ApiClient, question: str) -> Answer:
    """Ask and draw the answer while it comes.

    Streamlit may stop the script at any line here, so until the answer is whole the tab knows nothing for certain: the
    next run asks the API how far the conversation has come, and does not ask the question again.
    """
    talk.question = talk.conversation = None
    talk.gone = False
    put_in_address(talk)
    return _draw_events(st.empty(), api, talk.conversation_id, question)


def _draw_events(place: DeltaGenerator, api: ApiClient, conversation_id: str, question: str) -> Answer:
    text = ""
    with closing(polled(api.ask_stream(conversation_id, question), _LOOK_UP_EVERY_S)) as events:
        for event in events:
            if event is None:
                st.session_state.get("talk")  # lets Streamlit stop the script here
            elif isinstance(event, Stage) and not text:
                place.caption(_STAGES.get(event.stage, "Working…"))
            elif isinstance(event, Token):
                text += event.content
                # Streamlit sends the browser the latest drawing alone, at most every 10 ms.
                place.markdown(answer_markdown(text) + " ▌")
            elif isinstance(event, Answer):
                place.markdown(answer_markdown(event.answer))
                return event
    raise AssertionError("ask_stream ends with an answer or an error")


def _show_failure(failure: ApiError) -> None:
    st.error(f"**{plain_markdown(failure.title)}**\n\n{plain_markdown(failure.detail)}", icon=":material/error:")
    if failure.request_id:
        st.caption(f"Request id for the operator: {plain_markdown(failure.request_id)}")
    if failure.worth_retrying:
        st.button("Try again", icon=":material/refresh:", on_click=_try_again)


def _try_again() -> None:
    talk = current_talk()
    talk.failure = None


def _show_memory_only() -> None:
    st.warning(
        "This conversation is kept in memory alone: a restart of the service loses it.", icon=":material/warning:"
    )
