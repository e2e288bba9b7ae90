"""The chat page from top to bottom."""

import streamlit as st

from clients.api_client import ApiAddress, ApiAway, ApiClient, ApiError, Conversation, Health, Message
from clients.streamlit_chat.answering import answer_question
from clients.streamlit_chat.browser import mount_page_script
from clients.streamlit_chat.failures import show_failure
from clients.streamlit_chat.head import show_head
from clients.streamlit_chat.markdown import plain_markdown
from clients.streamlit_chat.messages import ICON, show_broken_off, show_messages
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.shelf import confirm_discarding, show_shelf, take_off_shelf
from clients.streamlit_chat.talk import Talk, ask, begin_anew, current_talk, load
from clients.streamlit_chat.waiting import await_answer

_LONGEST_MESSAGE = 5000
_WELCOME = """
**Ask what you would like to know.** The answer is drawn from the documents, and every statement bears a number such as
\\[1\\]: choose it to read the passage it rests on.

Your conversations are listed at the side, in this browser alone.
"""


def show_page() -> None:
    """Draw the page; called on every run of the script."""
    try:
        settings = read_settings()
    except ValueError as exc:
        st.error(plain_markdown(str(exc)))
        return
    st.set_page_config(page_title=settings.title, page_icon=ICON)
    talk, api = current_talk(), _api(settings.api)
    question = st.chat_input("Ask a question", max_chars=_LONGEST_MESSAGE, submit_mode="stop")
    if question and question.strip():
        ask(talk, question.strip())
    mount_page_script(on_stopped=_note_stop)
    health = _health(settings.api)
    show_head(settings, talk, health if isinstance(health, Health) else None)
    confirm_discarding(api)
    try:
        conversation = load(talk, api)
    except ApiError as failure:
        show_shelf(talk)
        show_failure(failure, talk, api)
        return
    if conversation is None:
        talk, conversation = _after_expiry(talk)
    if talk.question is None and not conversation.messages:
        _show_beginning(talk, api, health)
    else:
        _show_talk(talk, api, conversation)


@st.cache_resource(show_spinner=False, max_entries=4, on_release=ApiClient.close)
def _api(address: ApiAddress) -> ApiClient:
    return ApiClient(address)


def _health(address: ApiAddress) -> Health | ApiError:
    try:
        return _kept_health(address)
    except ApiError as failure:
        return failure


@st.cache_data(show_spinner=False, ttl=30, max_entries=4)
def _kept_health(address: ApiAddress) -> Health:
    return _api(address).health()


def _note_stop() -> None:
    current_talk().stopped = True


def _after_expiry(talk: Talk) -> tuple[Talk, Conversation]:
    """A new conversation in place of one that is no more, with the question that was to be asked in it."""
    take_off_shelf(talk.conversation_id)
    following = begin_anew(gone=talk.question is None)
    following.question = talk.question
    return following, Conversation(())


def _show_beginning(talk: Talk, api: ApiClient, health: Health | ApiError) -> None:
    """What stands where nothing has been said yet."""
    show_shelf(talk)
    if talk.gone:
        st.info("This conversation has expired or does not exist. Ask a question to begin a new one.")
    if isinstance(health, ApiAway):
        show_failure(health, talk, api)
    elif not talk.gone:
        st.markdown(_WELCOME)


def _show_talk(talk: Talk, api: ApiClient, conversation: Conversation) -> None:
    """The conversation, and the answer to a waiting question."""
    waiting = () if talk.question is None else (Message("user", talk.question),)
    show_messages((*conversation.messages, *waiting), talk.broken_off)
    if talk.question is None or talk.failure is not None:
        show_shelf(talk)
    if talk.question is not None:
        _show_exchange(talk, api, conversation, talk.question)
    elif conversation.running:
        await_answer(talk, api)
    elif conversation.messages and conversation.messages[-1].role == "user":
        st.button(
            "Answer again", icon=":material/refresh:", on_click=ask, args=(talk, conversation.messages[-1].content)
        )
    if talk.conversation and talk.conversation.persistence == "memory":
        st.warning(
            "This conversation is kept in memory alone: a restart of the service loses it.", icon=":material/warning:"
        )


def _show_exchange(talk: Talk, api: ApiClient, before: Conversation, question: str) -> None:
    """The answer to the waiting question, or why there is none."""
    if talk.failure is not None:
        if talk.attempt and talk.attempt.text:
            show_broken_off(talk.attempt.text)
        show_failure(talk.failure, talk, api)
        return
    try:
        answer_question(talk, api, before, question)
    except ApiError as failure:
        talk.conversation, talk.question, talk.failure = before, question, failure
        if talk.attempt and not talk.attempt.text:
            talk.attempt = None
        st.rerun()
