"""Waiting for something without holding the page up: an answer that another tab began, a service that is away."""

from itertools import count
from time import monotonic

import streamlit as st

from clients.api_client import ApiAway, ApiClient, ApiError
from clients.streamlit_chat.messages import bubble
from clients.streamlit_chat.talk import Talk

_LOOK_EVERY_S = 1.0
_KNOCK_EVERY_S = 3.0
_LONGEST_S = 300.0


def await_answer(talk: Talk, api: ApiClient) -> None:
    """Say that the answer is being written, and draw the page again when it has ended; not for ever."""
    until_s = monotonic() + _LONGEST_S

    @st.fragment(run_every=_LOOK_EVERY_S)
    def look() -> None:
        if next(looks) and monotonic() < until_s:
            try:
                talk.conversation = api.conversation(talk.conversation_id)
            except ApiError:
                talk.conversation = None  # told when the page is drawn
            if talk.conversation is None or not talk.conversation.running:
                st.rerun()
        st.caption("Still writing…" if monotonic() < until_s else "This takes long. Reload the page to look again.")

    looks = count()
    with bubble("assistant"):
        look()


def await_return(talk: Talk, api: ApiClient) -> None:
    """Look now and then whether the service is back, and go on where it left off."""

    @st.fragment(run_every=_KNOCK_EVERY_S)
    def knock() -> None:
        if next(knocks) and _answers(api):
            _go_on(talk)
            st.rerun()
        st.caption("The page goes on by itself as soon as the service is back.")

    knocks = count()
    knock()


def _answers(api: ApiClient) -> bool:
    try:
        api.health()
    except ApiAway:
        return False
    except ApiError:
        pass  # it answers, if not well
    return True


def _go_on(talk: Talk) -> None:
    """Ask a question that never arrived; of one that did, see first what has become of it."""
    failure, talk.failure = talk.failure, None
    if isinstance(failure, ApiAway) and failure.reached:
        talk.question = talk.conversation = None
