"""The window that a button under an answer opens: what the assistant saw."""

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError
from clients.streamlit_chat.failures import announce_failure
from clients.streamlit_chat.links import link_for_browser
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.sources import write_path
from clients.streamlit_chat.talk import make_conversation_id, open_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.wording import explain_to_visitor, log_failure
from clients.traces import Trace, TracedPassage, fetch_trace, fork


def show_trace(api: ApiClient, conversation_id: str, run_id: str) -> None:
    """Open the window about that run."""
    st.dialog(say("trace"), width="medium")(_show)(api, conversation_id, run_id)


def _show(api: ApiClient, conversation_id: str, run_id: str) -> None:
    try:
        with st.spinner(say("trace_loading")):
            trace = fetch_trace(api, conversation_id, run_id)
    except ApiError as failure:
        log_failure(failure)
        _, advice = explain_to_visitor(failure)
        st.error(say("trace_failed", advice=escape_markdown(advice)))
        return
    if st.button(say("fork"), key=f"fork-{run_id}", icon=":material/fork_right:"):
        _fork(api, conversation_id, run_id)
    _show_search(trace)
    for call in trace.tool_calls:
        name = escape_markdown(call.name)
        seconds = escape_markdown(f"{call.duration_ms / 1000:.2f}")
        st.caption(f":material/build: {say(f'trace_call_{call.status}', name=name, seconds=seconds)}")
    if not trace.passages:
        st.caption(say("trace_cached" if trace.is_cached else "trace_nothing"))
    else:
        st.caption(say("trace_scores"))
    for passage in trace.passages:
        _show_passage(passage)


def _fork(api: ApiClient, conversation_id: str, run_id: str) -> None:
    new_id = make_conversation_id()
    try:
        fork(api, conversation_id, run_id, new_id)
    except ApiError as failure:
        announce_failure("fork_failed", failure)
    else:
        open_talk(new_id)
        st.toast(say("forked"))
        st.rerun()  # the whole page, and not the window alone


def _show_search(trace: Trace) -> None:
    if trace.question:
        st.caption(say("trace_question"))
        st.text(trace.question)
    if trace.degraded:
        st.caption(f":material/warning: {escape_markdown(trace.degraded)}")
    shown = [
        say(f"trace_time_{stage}", seconds=f"{trace.times_s[stage]:.2f}")
        for stage in ("retrieve", "answer", "total")
        if stage in trace.times_s
    ]
    if trace.evidence is not None:
        shown.append(say("trace_evidence", number=f"{trace.evidence:.2f}"))
    if shown:
        st.caption(escape_markdown(" · ".join(shown)))


def _show_passage(passage: TracedPassage) -> None:
    with st.container(border=True):
        path = write_path(passage.title, passage.heading, passage.page)
        number = escape_markdown(str(passage.number))
        cited = f" :green-badge[{say('trace_cited')}]" if passage.is_cited else ""
        st.markdown(f"**{number}** {escape_markdown(path)}{cited}")
        st.text(passage.excerpt if passage.is_excerpt_whole else f"{passage.excerpt} …")
        by_words = say("trace_words", number=f"{passage.lexical:.2f}")
        is_compared = passage.dense is not None
        by_meaning = [say("trace_meaning", number=f"{passage.dense:.2f}")] if is_compared else []
        st.caption(escape_markdown(" · ".join([*by_meaning, by_words])))
        is_there = passage.link and passage.document_status != "deleted"
        if is_there and (link := link_for_browser(passage.link or "", st.context.url)):
            st.link_button(say("open_here"), link, icon=":material/find_in_page:")
