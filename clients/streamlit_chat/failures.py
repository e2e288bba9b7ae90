"""What went wrong, in words for a visitor, and the way on."""

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiAway, ApiError, ApiRefused
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.talk import Talk, current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.waiting import await_return
from clients.streamlit_chat.wording import explain_to_visitor, log_failure

_CONFLICT, _TOO_MANY = 409, 429


def show_failure(failure: ApiError, talk: Talk, api: ApiClient) -> None:
    """Why there is no answer, or no conversation; a service that is away is waited for."""
    title, detail = explain_to_visitor(failure)
    told = f"**{escape_markdown(title)}**\n\n{escape_markdown(detail)}"
    if isinstance(failure, ApiRefused) and failure.status == _TOO_MANY:
        st.info(told, icon=":material/schedule:")
    else:
        st.error(told, icon=":material/error:")
        if failure.request_id:
            st.caption(say("request_number", number=escape_markdown(failure.request_id)))
    if isinstance(failure, ApiRefused) and failure.status == _CONFLICT and failure.run_id:
        # The conversation is read again before the question is asked, and what is being answered in it is followed.
        st.button(say("show_earlier_answer"), icon=":material/visibility:", on_click=_try_again)
    elif failure.worth_retrying:
        st.button(say("try_again"), icon=":material/refresh:", on_click=_try_again)
    if isinstance(failure, ApiAway):
        await_return(talk, api)


def show_reason(failure: ApiError | None) -> None:
    """Why what a window was to do is not done; nothing where it is."""
    if failure:
        title, detail = explain_to_visitor(failure)
        st.error(f"**{escape_markdown(title)}**\n\n{escape_markdown(detail)}", icon=":material/error:")


def announce_failure(name: str, failure: ApiError) -> None:
    """Say for a moment, by the text of that *name*, that something small is not done."""
    log_failure(failure)
    _, advice = explain_to_visitor(failure)
    st.toast(say(name, advice=escape_markdown(advice)), icon=":material/error:")


def _try_again() -> None:
    talk = current_talk()
    talk.failure, talk.outdated = None, talk.in_address
