"""A call of a tool that waits for the visitor: what is to be done, and two buttons."""

import json
from collections.abc import Callable

import streamlit as st

from clients.api_errors import ApiRefused
from clients.run_events import WaitingCall
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import explain_refused_decision

_LONG = 1_000  # characters of arguments that are shown in a part of the page that scrolls


def show_request(call: WaitingCall, *, on_decision: Callable[[str], None]) -> None:
    """What the assistant wants to do; *on_decision* is told "approve" or "reject"."""
    st.markdown(say("asks_approval", name=escape_markdown(call.name.replace("_", " "))))
    told = "\n".join(f"{_write(name)}: {_write(value)}" for name, value in call.arguments.items())
    if told:
        st.container(height=300 if len(told) > _LONG else "content").text(told)
    approve, reject = st.columns(2)
    approve.button(
        say("approve"), key=f"approve-{call.call_id}", icon=":material/check:", on_click=on_decision, args=("approve",)
    )
    reject.button(
        say("reject"), key=f"reject-{call.call_id}", icon=":material/close:", on_click=on_decision, args=("reject",)
    )
    st.caption(say("approval_first"))


def show_refused_decision(refused: ApiRefused) -> None:
    """Why the service did not take what the visitor said of the call."""
    title, detail = explain_refused_decision(refused)
    st.error(f"**{escape_markdown(title)}**\n\n{escape_markdown(detail)}", icon=":material/error:")


def _write(value: object) -> str:
    """*value* in JSON, in one line and with nothing in it that hides: whoever approves has to see all of it."""
    told = json.dumps(value, ensure_ascii=False)
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in told)
