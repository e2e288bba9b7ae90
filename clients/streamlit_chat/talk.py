"""What a browser tab knows of its conversation between two runs of the page."""

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace

import streamlit as st

from clients.api_client import ApiClient, ApiError, ApiRefused, Conversation, Message

_PARAMETER = "c"
_TALK = "talk"
# Conversations of other users of the key may have ids that can be guessed; the page opens only such as it makes.
_OURS = re.compile(r"web-[A-Za-z0-9_-]{22}")


@dataclass(slots=True)
class Attempt:
    """An answer that has begun: to which question, after what, and the text of it that has come."""

    question: str
    before: Conversation
    text: str = ""


@dataclass(slots=True)
class Talk:
    """One conversation.

    `conversation` is what is shown, None when the API knows better: at first, and after an answer that broke off.
    `question` waits to be asked, or was refused with `failure`. `in_address`: it has begun, so a reload finds it.
    `attempt` is the answer under way, `stopped` whether the visitor has ended it. `broken_off` has what was seen of
    answers that never became whole, by the place of their question. `gone`: the one asked for was not found.
    `outdated`: another tab may have said more since.
    """

    conversation_id: str = field(default_factory=lambda: f"web-{secrets.token_urlsafe(16)}")
    conversation: Conversation | None = None
    question: str | None = None
    failure: ApiError | None = None
    in_address: bool = False
    attempt: Attempt | None = None
    stopped: bool = False
    broken_off: dict[int, str] = field(default_factory=dict)
    gone: bool = False
    outdated: bool = False


def current_talk() -> Talk:
    """The conversation in the page's address, else the tab's own new one."""
    talk: Talk | None = st.session_state.get(_TALK)
    asked_for = st.query_params.get(_PARAMETER)
    if talk is None or asked_for != (talk.conversation_id if talk.in_address else None):
        talk = _opened(asked_for)
        st.session_state[_TALK] = talk
    return talk


def put_in_address(talk: Talk) -> None:
    """Let a reload, and whoever is given the address, find the conversation."""
    st.query_params[_PARAMETER] = talk.conversation_id
    talk.in_address = True


def begin_anew(*, gone: bool = False) -> Talk:
    """Leave the conversation for a new one."""
    talk = Talk(conversation=Conversation(()), gone=gone)
    st.session_state[_TALK] = talk
    st.query_params.pop(_PARAMETER, None)
    return talk


def open_talk(conversation_id: str) -> None:
    """Go to a conversation from before; an id that the page did not make is not opened."""
    if is_ours(conversation_id):
        st.query_params[_PARAMETER] = conversation_id


def is_ours(conversation_id: str) -> bool:
    """Whether the page makes such ids."""
    return _OURS.fullmatch(conversation_id) is not None


def ask(talk: Talk, question: str) -> None:
    """Let *question* be asked in this run."""
    talk.question, talk.failure, talk.stopped, talk.gone = question, None, False, False
    talk.outdated = talk.in_address


def load(talk: Talk, api: ApiClient) -> Conversation | None:
    """The conversation so far, None if there is none of this id any more.

    Raises:
        ApiError: the API is away or refuses.
    """
    if talk.conversation is None:
        talk.conversation = _settled(talk, api) if talk.attempt else _fetched(talk, api)
    elif talk.outdated:
        with suppress(ApiError):  # then the question meets it too, and tells
            talk.conversation = _fetched(talk, api)
    talk.outdated = False
    return talk.conversation


def _fetched(talk: Talk, api: ApiClient) -> Conversation | None:
    try:
        return api.conversation(talk.conversation_id)
    except ApiRefused as refusal:
        if refusal.status != 404:
            raise
        return None


def _settled(talk: Talk, api: ApiClient) -> Conversation:
    """The conversation after an answer that broke off: as the API has it, and what the visitor has seen of the answer.

    Streamlit may have stopped the script at any line: the API may have the whole answer, or not even the question.
    """
    attempt = talk.attempt
    assert attempt is not None  # noqa: S101 - said by the caller
    try:
        now = _fetched(talk, api) or Conversation(())
    except ApiError:
        now = attempt.before
    if len(now.messages) <= len(attempt.before.messages):
        now = replace(now, messages=(*attempt.before.messages, Message("user", attempt.question)))
    if now.messages[-1].role == "user" and attempt.text:
        talk.broken_off[len(now.messages) - 1] = attempt.text
    talk.attempt = None
    # After "Stop" the service may need a moment to notice that nobody reads on.
    return replace(now, running=False) if talk.stopped else now


def _opened(asked_for: str | None) -> Talk:
    if asked_for is not None and is_ours(asked_for):
        return Talk(asked_for, in_address=True)
    st.query_params.pop(_PARAMETER, None)
    return Talk(conversation=Conversation(()))
