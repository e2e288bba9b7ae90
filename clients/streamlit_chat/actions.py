"""What can be done with a message: an answer is rated, copied, heard and asked again, a question put into the box."""

import streamlit as st

from clients.api_answers import Message
from clients.api_client import ApiClient
from clients.streamlit_chat.attempts import ask, choose_version, find_edited_parent
from clients.streamlit_chat.browser import mount_actions
from clients.streamlit_chat.ratings import describe_thumbs, rate, show_remark
from clients.streamlit_chat.speaking import are_answers_spoken, listen, show_sound
from clients.streamlit_chat.tables import show_rows_button
from clients.streamlit_chat.talk import Talk, current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.traces import show_trace
from clients.streamlit_chat.written import write_answer, write_answer_html


def show_answer_actions(
    message: Message, place: int, question: str | None, *, conversation_id: str, api: ApiClient
) -> None:
    """Thumbs and "Copy"; where it answers the last *question*, "Ask again". What is no answer has none of them.

    One component has all buttons: in a long conversation most of the time to draw it goes into its buttons.
    """
    if message.small_talk or message.clarification:
        return
    key, run_id = f"actions-{place}", message.run_id
    asked = (api, conversation_id, run_id or "")
    pressed = mount_actions(
        key,
        _describe_buttons(message, question, api),
        on_rated_change=lambda: rate(*asked, st.session_state[key].get("rated")),
        on_traced_change=lambda: None,
        on_listened_change=lambda: listen(*asked),
        on_retried_change=lambda: _ask_again(question),
    )
    if question:
        show_rows_button(message.tables, conversation_id, api)
    if run_id:
        show_remark(*asked, message)
        show_sound(run_id)
    if run_id and pressed.traced:
        show_trace(*asked)


def _describe_buttons(answer: Message, question: str | None, api: ApiClient) -> dict[str, dict[str, str]]:
    buttons: dict[str, dict[str, str]] = {}
    if answer.run_id:
        buttons["thumbs"] = describe_thumbs(answer)
        buttons["trace"] = {"label": say("trace")}
    if answer.run_id and are_answers_spoken(api):
        buttons["listen"] = {"label": say("listen")}
    texts = {"text": write_answer(answer), "html": write_answer_html(answer)}
    buttons["copy"] = {"label": say("copy"), "done": say("copied"), **texts}
    if question:
        buttons["retry"] = {"label": say("ask_again")}
    return buttons


def show_question_actions(question: Message, place: int) -> None:
    """A button that puts it into the box, to be changed and asked anew; where there are several versions of it, which
    one this is, and buttons to the others."""
    key, talk = f"actions-{place}", current_talk()
    data = {"edit": {"label": say("edit"), "text": question.content}}
    count = len(question.siblings)
    if count > 1 and question.run_id in question.siblings:
        number = question.siblings.index(question.run_id) + 1
        labels = {name: say(f"version_{name}") for name in ("previous", "next")}
        said = {"said": say("version_of", number=number, count=count), "text": f"{number}/{count}"}
        is_still = talk.attempt is None and talk.question is None
        ways = {"back": is_still and number > 1, "on": is_still and number < count}
        data["versions"] = {**labels, **said, **{name: "yes" if is_open else "" for name, is_open in ways.items()}}
    mount_actions(
        key,
        data,
        on_edited_change=lambda: _begin_editing(place),
        on_moved_change=lambda: _move(question, st.session_state[key].get("moved")),
    )


def show_editing(talk: Talk) -> None:
    """That the next question stands beside another one, and a way out."""
    if find_edited_parent(talk) is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="editing"):
        st.caption(f":material/edit: {say('editing')}", width="stretch")
        st.button(say("editing_end"), on_click=_end_editing, args=(talk,))


def _begin_editing(place: int) -> None:
    current_talk().editing = place


def _end_editing(talk: Talk) -> None:
    talk.editing = None


def _ask_again(question: str | None) -> None:
    """Beside the question that was asked last; below other answers there is no button for it."""
    if question is None:
        return
    talk = current_talk()
    asked = [each for each in talk.conversation.messages if each.role == "user"] if talk.conversation else []
    ask(talk, question, asked[-1].parent_run_id if asked else None)


def _move(question: Message, step: object) -> None:
    """To the version before or after; a browser sends what it likes."""
    if step in (-1, 1) and question.run_id in question.siblings:
        at = question.siblings.index(question.run_id) + (1 if step == 1 else -1)
        if 0 <= at < len(question.siblings):
            choose_version(current_talk(), question.siblings[at])
