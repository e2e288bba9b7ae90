"""What a browser tab knows of its conversation between two runs of the page."""

import re
import secrets
from dataclasses import dataclass, field

import streamlit as st

from clients.api_client import ApiClient, ApiError, ApiRefused, Conversation

_PARAMETER = "c"
# Conversations of other users of the key may have ids that can be guessed; the page opens only such as it makes.
_OURS = re.compile(r"web-[A-Za-z0-9_-]{22}")


@dataclass(slots=True)
class Talk:
    """One conversation.

    `conversation` is what is shown, None when the API knows better: at first, and after an answer that broke off.
    `question` waits to be asked, or was refused with `failure`. `in_address`: it has begun, so a reload finds it.
    """

    conversation_id: str = field(default_factory=lambda: f"web-{secrets.token_urlsafe(16)}")
    conversation: Conversation | None = None
    question: str | None = None
    failure: ApiError | None = None
    in_address: bool = False
    gone: bool = False


def current_talk() -> Talk:
    """The conversation in the page's address, else the tab's own new one."""
    talk: Talk | None = st.session_state.get("talk")
    asked_for = st.query_params.get(_PARAMETER)
    if talk is None or asked_for != (talk.conversation_id if talk.in_address else None):
        talk = _opened(asked_for)
        st.session_state["talk"] = talk
    return talk


def put_in_address(talk: Talk) -> None:
    """Let a reload, and whoever is given the address, find the conversation."""
    st.query_params[_PARAMETER] = talk.conversation_id
    talk.in_address = True


def begin_anew() -> None:
    """Leave the conversation for a new one."""
    st.session_state["talk"] = Talk(conversation=Conversation(()))
    st.query_params.pop(_PARAMETER, None)


def load(talk: Talk, api: ApiClient) -> Conversation:
    """The conversation so far; one that has expired begins again, and is marked as gone.

    Raises:
        ApiError: the API is away or refuses.
    """
    if talk.conversation is None:
        try:
            talk.conversation = api.conversation(talk.conversation_id)
        except ApiRefused as refusal:
            if refusal.status != 404:
                raise
            talk.conversation, talk.gone = Conversation(()), True
    return talk.conversation


def _opened(asked_for: str | None) -> Talk:
    if asked_for is not None and _OURS.fullmatch(asked_for):
        return Talk(asked_for, in_address=True)
    st.query_params.pop(_PARAMETER, None)
    return Talk(conversation=Conversation(()))
