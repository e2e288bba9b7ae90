"""The chat page from top to bottom."""

import logging
from functools import partial

import streamlit as st

from clients.api_client import ApiAddress, ApiClient, Conversation, Health, Message
from clients.api_errors import ApiAway, ApiError
from clients.streamlit_chat.answering import draw_answer
from clients.streamlit_chat.browser import mount_page_script
from clients.streamlit_chat.failures import show_failure
from clients.streamlit_chat.head import show_head, show_title
from clients.streamlit_chat.history import confirm_discarding, remove_from_history, show_history
from clients.streamlit_chat.messages import ICON, show_draft, show_messages
from clients.streamlit_chat.ratings import show_rating
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.signing_in import (
    forget_failed_sign_in,
    get_signed_in_token,
    note_failed_sign_in,
    show_failed_sign_in,
    show_sign_in,
)
from clients.streamlit_chat.talk import (
    Talk,
    ask,
    begin_anew,
    begin_attempt,
    current_talk,
    leave_other_visitor,
    load,
    load_earlier,
    stop_answer,
)
from clients.streamlit_chat.visitor_cookie import get_current_visitor
from clients.streamlit_chat.wording import log_failure

logger = logging.getLogger(__name__)
_LONGEST_MESSAGE = 5000
_PATIENCE_S = 10.0  # then the page says that the service is away, and still goes on by itself when it is back
_WELCOME = """
**Ask what you would like to know.** The answer comes from the documents, and every sentence has a number such as
\\[1\\]. Click it to read the source.
"""
_HISTORY = {
    "on": "Your conversations are listed in the sidebar, for you alone.",
    "session": "Your conversations are listed in the sidebar until you close this tab.",
    "off": "This browser keeps nothing of your conversations: a reload begins a new one.",
}


def show_page() -> None:
    """Draw the page; called on every run of the script."""
    try:
        settings = read_settings()
    except ValueError:
        logger.exception("The chat page is not set up.")
        st.error("The chat does not work at the moment. Please tell the people who run this page.")
        return
    st.set_page_config(page_title=settings.title, page_icon=ICON)
    mount_page_script(on_stopped=stop_answer)
    note_failed_sign_in()
    signed_in = get_signed_in_token(settings)
    if settings.sign_in and settings.sign_in.is_required and signed_in is None:
        show_title(settings)
        show_sign_in()
        return
    visitor = get_current_visitor(settings.api.key, signed_in)
    leave_other_visitor(visitor.visitor_id)
    talk, api = current_talk(), _api(settings.api).for_visitor(visitor)
    question = st.chat_input("Ask a question", max_chars=_LONGEST_MESSAGE, submit_mode="stop")
    if question and question.strip():
        forget_failed_sign_in()
        ask(talk, question.strip())
    health = _health(settings.api)
    show_head(settings, talk, health if isinstance(health, Health) else None)
    show_failed_sign_in()
    _show_conversation(talk, api, health)


def _show_conversation(talk: Talk, api: ApiClient, health: Health | ApiError) -> None:
    is_asking = confirm_discarding(api)
    try:
        conversation = load(talk, api)
    except ApiError as failure:
        log_failure(failure)
        show_history(talk)
        show_failure(failure, talk, api)
        return
    if conversation is None:
        _replace_expired(talk)
        st.rerun()  # the head still has a button to delete it
    if talk.question is None and talk.attempt is None and not conversation.messages:
        _show_beginning(talk, api, health)
    else:
        _show_talk(talk, api, conversation, holds=is_asking)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=ApiClient.close)
def _api(address: ApiAddress) -> ApiClient:
    return ApiClient(address, patience_s=_PATIENCE_S)


def _health(address: ApiAddress) -> Health | ApiError:
    try:
        return _get_cached_health(address)
    except ApiError as failure:
        return failure


@st.cache_data(show_spinner=False, ttl=30, max_entries=4)
def _get_cached_health(address: ApiAddress) -> Health:
    return _api(address).health()


def _replace_expired(talk: Talk) -> None:
    """Begin a new conversation in place of one that is no more, with the question that was to be asked in it."""
    remove_from_history(talk.conversation_id)
    begin_anew(gone=talk.question is None).question = talk.question


def _show_beginning(talk: Talk, api: ApiClient, health: Health | ApiError) -> None:
    """What stands where nothing has been said yet."""
    show_history(talk, api)
    if talk.gone:
        st.info("This conversation has expired or does not exist. Ask a question to begin a new one.")
    if isinstance(health, ApiAway):
        show_failure(health, talk, api)
    elif not talk.gone:
        st.markdown(f"{_WELCOME}\n\n{_HISTORY[read_settings().local_history]}")


def _show_talk(talk: Talk, api: ApiClient, conversation: Conversation, *, holds: bool) -> None:
    """The conversation, and the answer to a question; no answer is waited for when it *holds*."""
    asked = talk.attempt.question if talk.attempt else talk.question
    waiting = () if asked is None else (Message("user", asked),)
    rate = partial(show_rating, conversation_id=talk.conversation_id, api=api)
    if conversation.offset:
        st.button("Show earlier messages", icon=":material/history:", on_click=_load_earlier, args=(talk, api))
    show_messages(
        (*conversation.messages, *waiting),
        rate,
        broken_off=talk.broken_off,
        unanswered=talk.unanswered,
        offset=conversation.offset,
    )
    if asked is None or talk.failure or holds:
        show_history(talk, api)
        _show_rest(talk, api, conversation)
    else:
        attempt, answer = talk.attempt or begin_attempt(talk, conversation, asked), st.container()
        if talk.question is not None:  # it waits for the answer to the one before
            show_messages((Message("user", talk.question),), rate, broken_off={}, unanswered=())
        with answer:
            draw_answer(talk, api, attempt)
    if talk.conversation and talk.conversation.persistence == "memory":
        st.warning(
            "This conversation is stored in memory only. It is lost if the service restarts.", icon=":material/warning:"
        )


def _load_earlier(talk: Talk, api: ApiClient) -> None:
    try:
        load_earlier(talk, api)
    except ApiError as failure:
        log_failure(failure)
        talk.failure = failure


def _show_rest(talk: Talk, api: ApiClient, conversation: Conversation) -> None:
    """What stands below a conversation in which no answer is coming now."""
    if talk.attempt and talk.attempt.text:
        show_draft(talk.attempt.text)
    if talk.failure:
        show_failure(talk.failure, talk, api)
    elif not (talk.attempt or talk.question) and conversation.messages and conversation.messages[-1].role == "user":
        question = conversation.messages[-1].content
        st.button("Answer again", icon=":material/refresh:", on_click=ask, args=(talk, question))
