"""Waiting for a service that is away, without holding the page up."""

from itertools import count

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiAway, ApiError
from clients.streamlit_chat.talk import Talk
from clients.streamlit_chat.texts import say

_KNOCK_EVERY_S = 3.0


def await_return(talk: Talk, api: ApiClient) -> None:
    """Look now and then whether the service is back, and go on where it left off."""

    @st.fragment(run_every=_KNOCK_EVERY_S)
    def knock() -> None:
        if next(knocks) and _answers(api):
            talk.failure = None
            st.rerun()
        st.caption(say("goes_on"))

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
