"""Thumbs under an answer, and room to say what would have been right."""

import streamlit as st

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.api_errors import ApiError, ignore_missing
from clients.streamlit_chat.failures import announce_failure
from clients.streamlit_chat.texts import say

_VERDICTS = ("up", "down")
_LONGEST = 2000
_FAILED = "failed-ratings"


def describe_thumbs(message: Message) -> dict[str, str]:
    """The thumbs of an answer, as buttons.js draws them; `failed` changes with each rating that is not kept, so that
    it draws the former one again."""
    labels = {"label": say("rating"), "up": say("thumbs_up"), "down": say("thumbs_down")}
    return {**labels, "chosen": _find_rating(message), "failed": str(st.session_state.get(_FAILED, 0))}


def rate(api: ApiClient, conversation_id: str, run_id: str, chosen: object) -> None:
    """Keep the thumb that is pressed, "up" or "down", or take the rating back; a browser sends what it likes."""
    try:
        if chosen in _VERDICTS:
            api.rate(conversation_id, run_id, str(chosen))
        else:
            chosen = ""
            with ignore_missing():  # another tab was quicker
                api.take_rating_back(conversation_id, run_id)
    except ApiError as failure:
        st.session_state[_FAILED] = st.session_state.get(_FAILED, 0) + 1
        announce_failure("rating_failed", failure)
    else:
        st.session_state[f"rating-{run_id}"] = chosen
        st.session_state.pop(_name_remark(run_id), None)


def show_remark(api: ApiClient, conversation_id: str, run_id: str, message: Message) -> None:
    """Below an answer that was found bad: room to say what would have been right."""
    if _find_rating(message) != "down":
        return
    if st.session_state.get(_name_remark(run_id)):
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
        st.session_state[_name_remark(run_id)] = True


def _find_rating(message: Message) -> str:
    """As it was given here last, which the message may not have yet; "" for none."""
    return st.session_state.get(f"rating-{message.run_id}", message.rating) or ""


def _name_remark(run_id: str) -> str:
    return f"remark-{run_id}"
