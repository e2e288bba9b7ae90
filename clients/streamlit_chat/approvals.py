"""A call of a tool that waits for the visitor: what is to be done, and two buttons."""

import json
from collections.abc import Callable

import streamlit as st

from clients.run_events import WaitingCall
from clients.streamlit_chat.markdown import escape_markdown

_LONGEST = 500  # characters of an argument that is shown


def show_request(call: WaitingCall, *, on_decision: Callable[[str], None]) -> None:
    """What the assistant wants to do; *on_decision* is told "approve" or "reject"."""
    st.markdown(f"The assistant asks for your approval: **{escape_markdown(call.name.replace('_', ' '))}**")
    for name, value in call.arguments.items():
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        short = told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"
        st.text(f"{name}: {short}")
    approve, reject = st.columns(2)
    approve.button(
        "Approve", key=f"approve-{call.call_id}", icon=":material/check:", on_click=on_decision, args=("approve",)
    )
    reject.button(
        "Reject", key=f"reject-{call.call_id}", icon=":material/close:", on_click=on_decision, args=("reject",)
    )
    st.caption("Nothing is done before you have approved it.")
