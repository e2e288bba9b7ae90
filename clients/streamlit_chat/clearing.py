"""All conversations of the visitor are deleted, once it was asked whether that is meant."""

import secrets
from dataclasses import dataclass

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.conversation_calls import clear
from clients.streamlit_chat.failures import show_reason
from clients.streamlit_chat.kept import end_and_delete
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.talk import begin_anew, current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import log_failure

_CLEARING, _CLEARED = "clearing", "cleared"


@dataclass(slots=True)
class Clearing:
    """That the visitor is asked; `failure` is why it could not be done, `left` how many conversations stay."""

    failure: ApiError | None = None
    left: int = 0


def show_clear_button() -> None:
    """A button that asks."""
    st.button(say("clear_all"), icon=":material/delete_sweep:", type="tertiary", on_click=_ask)


def confirm_clearing(api: ApiClient) -> bool:
    """Ask before all is deleted, where the visitor has chosen that; whether that is so."""
    clearing: Clearing | None = st.session_state.get(_CLEARING)
    if clearing is not None:
        st.dialog(say("clear_all"), on_dismiss=_keep)(_confirm)(api, clearing)
    return clearing is not None


def find_clearing() -> str:
    """Names the last time that all was deleted, for the browser to forget what it has from before; "" for none."""
    return str(st.session_state.get(_CLEARED, ""))


def _ask() -> None:
    st.session_state[_CLEARING] = Clearing()


def _keep() -> None:
    st.session_state.pop(_CLEARING, None)


def _confirm(api: ApiClient, clearing: Clearing) -> None:
    if _CLEARING not in st.session_state:
        st.rerun()  # decided, and this is a run of the dialog alone
    st.markdown(say("clear_means"))
    show_reason(clearing.failure)
    if clearing.left:
        st.warning(say("clear_left", number=escape_markdown(str(clearing.left))), icon=":material/warning:")
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.button(say("keep_them"), on_click=_keep)
        st.button(say("delete_for_good"), type="primary", on_click=_clear, args=(api, clearing))


def _clear(api: ApiClient, clearing: Clearing) -> None:
    clearing.failure, clearing.left, talk = None, 0, current_talk()
    try:
        if talk.in_address:
            with ignore_missing():  # also one that is being answered
                end_and_delete(api, talk.conversation_id, permanent=True)
        clearing.left = clear(api)
    except ApiError as failure:
        log_failure(failure)
        clearing.failure = failure
        return
    st.session_state[_CLEARED] = secrets.token_urlsafe(8)
    begin_anew()
    if not clearing.left:
        _keep()
