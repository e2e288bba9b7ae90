"""Thumbs under an answer, and room to say what would have been right."""

import streamlit as st

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.streamlit_chat.failures import announce_failure
from clients.streamlit_chat.texts import say

_VERDICTS = ("down", "up")  # as Streamlit numbers its thumbs
_LONGEST = 2000


def show_rating(message: Message, conversation_id: str, api: ApiClient) -> None:
    """The thumbs of an answer that can be rated; a thumb pressed again takes the rating back."""
    if message.run_id is None or message.small_talk or message.clarification:
        return
    key = f"rating-{message.run_id}"
    default = _VERDICTS.index(message.rating) if message.rating in _VERDICTS else None
    default = st.session_state.get(f"kept-{message.run_id}", default)  # the page may not have drawn it for a while
    asked = (api, conversation_id, message.run_id)
    chosen = st.feedback("thumbs", key=key, default=default, on_change=_rate, args=(*asked, key, default))
    if chosen == 0:
        _ask_what_is_right(*asked)


def _rate(api: ApiClient, conversation_id: str, run_id: str, key: str, before: int | None) -> None:
    chosen = st.session_state[key]
    try:
        if chosen is None:
            with ignore_missing():  # another tab was quicker
                api.take_rating_back(conversation_id, run_id)
        else:
            api.rate(conversation_id, run_id, _VERDICTS[chosen])
    except ApiError as failure:
        st.session_state[key] = before
        announce_failure("rating_failed", failure)
    else:
        st.session_state[f"kept-{run_id}"] = chosen
        st.session_state.pop(_describe_rating(run_id), None)


def _ask_what_is_right(api: ApiClient, conversation_id: str, run_id: str) -> None:
    if st.session_state.get(_describe_rating(run_id)):
        with st.container(key=f"thanks-{run_id}"):
            st.caption(say("rating_thanks"))
        return
    with st.popover(say("rating_wrong"), icon=":material/edit_note:"), st.form(f"wrong-{run_id}", border=False):
        st.text_area(say("rating_what"), key=f"comment-{run_id}", max_chars=_LONGEST, height=80)
        st.text_area(
            say("rating_expected"),
            key=f"expected-{run_id}",
            max_chars=_LONGEST,
            height=80,
            help=say("rating_expected_help"),
        )
        st.form_submit_button(say("rating_send"), on_click=_explain, args=(api, conversation_id, run_id))


def _explain(api: ApiClient, conversation_id: str, run_id: str) -> None:
    expected, comment = (st.session_state.get(f"{name}-{run_id}") or "" for name in ("expected", "comment"))
    if not (expected.strip() or comment.strip()):
        return
    try:
        api.rate(conversation_id, run_id, "down", comment=comment, expected=expected)
    except ApiError as failure:
        announce_failure("rating_failed", failure)
    else:
        st.session_state[_describe_rating(run_id)] = True


def _describe_rating(run_id: str) -> str:
    return f"told-{run_id}"
