"""What can be done with a message: an answer is rated, copied and asked for again, a question put into the box."""

import streamlit as st

from clients.api_client import ApiClient, Message
from clients.streamlit_chat.browser import mount_actions
from clients.streamlit_chat.ratings import show_rating
from clients.streamlit_chat.tables import show_rows_button
from clients.streamlit_chat.talk import ask, current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.traces import show_trace_button
from clients.streamlit_chat.written import write_answer, write_answer_html


def show_answer_actions(
    message: Message, place: int, question: str | None, *, conversation_id: str, api: ApiClient
) -> None:
    """Thumbs and "Copy"; where it answers the last *question*, "Ask again". What is no answer has none of them."""
    if message.small_talk or message.clarification:
        return
    copied = {"text": write_answer(message), "html": write_answer_html(message)}
    data = {"copy": {"label": say("copy"), "done": say("copied"), **copied}}
    if question:
        data["retry"] = {"label": say("ask_again")}
    with st.container(horizontal=True, vertical_alignment="center"):
        show_rating(message, conversation_id, api)
        if question:
            show_rows_button(message.tables, conversation_id, api)
        show_trace_button(message.run_id, conversation_id, api)
        mount_actions(f"actions-{place}", data, on_retried_change=lambda: ask(current_talk(), question or ""))


def show_question_actions(question: str, place: int) -> None:
    """A button that puts it into the box, to be changed and asked anew."""
    mount_actions(f"actions-{place}", {"edit": {"label": say("edit"), "text": question}})
