"""What the documents are about, and questions to begin or to go on with."""

import streamlit as st

from clients.api_answers import Message, Topics
from clients.api_client import ApiAddress, ApiClient
from clients.api_errors import ApiError
from clients.streamlit_chat.attempts import ask
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.settings import read_settings
from clients.streamlit_chat.talk import current_talk
from clients.streamlit_chat.texts import LANGUAGES, get_language, say

_KEPT_S, _TITLES, _QUESTIONS, _FOLLOW_UPS = 60, 4, 4, 3


def show_topics(api: ApiClient, address: ApiAddress, title: str) -> None:
    """Whose documents are asked, about what, in which languages, which data sources give figures, and buttons that ask;
    nothing where that is not known.

    *title*: what the page is called.
    """
    topics = _find_topics(address, get_language(), "", _api=api)
    named = escape_markdown(topics.institution or "")
    if topics.titles:
        titles = escape_markdown(" · ".join(topics.titles[:_TITLES]))
        is_named = topics.institution and topics.institution != title
        st.markdown(say("topics_of", name=named, titles=titles) if is_named else say("topics", titles=titles))
    if topics.data_questions:
        names = dict.fromkeys(each.data_source for each in topics.data_questions)
        st.markdown(say("topics_of_data", names=escape_markdown(" · ".join(names))))
    of_documents = topics.questions[: _QUESTIONS - len(topics.data_questions)]
    if questions := [*(each.question for each in of_documents), *(each.question for each in topics.data_questions)]:
        st.markdown(f"**{say('try_asking')}**")
        with st.container(gap="small"):
            for number, question in enumerate(questions):
                key = f"topic-{number}"
                st.button(escape_markdown(question), key=key, width="stretch", on_click=_ask, args=(question,))
    if languages := [say(f"language_{code}") for code in topics.languages if code in LANGUAGES]:
        st.caption(say("document_languages", languages=escape_markdown(", ".join(languages))))


def show_follow_ups(message: Message, place: int, question: str, api: ApiClient) -> None:
    """Buttons that ask about other headings of the document that the answer to *question*, at *place*, cites
    first."""
    if not message.citations or not message.citations[0].document_id or message.citations[0].query is not None:
        return
    topics = _find_topics(read_settings().api, get_language(), message.citations[0].document_id, _api=api)
    cited = {(each.heading or "").rpartition(" › ")[2] for each in message.citations}
    others = [each for each in topics.questions if each.heading not in cited and each.question != question]
    if not others:
        return
    with st.container(key="follow-ups", gap="small"):  # one element, in whose place the next question comes
        st.caption(say("more_about", title=escape_markdown(message.citations[0].title)))
        row = st.container(horizontal=True, gap="small")
        for number, each in enumerate(others[:_FOLLOW_UPS]):
            key = f"follow-{place}-{number}"
            row.button(escape_markdown(each.heading), key=key, on_click=_ask, args=(each.question,))


def forget_topics() -> None:
    """Ask anew: there are other documents."""
    _get_cached_topics.clear()


def _ask(question: str) -> None:
    ask(current_talk(), question)


def _find_topics(address: ApiAddress, language: str, document_id: str, *, _api: ApiClient) -> Topics:
    try:
        return _get_cached_topics(address, language, document_id, _api=_api)
    except (ApiError, _NotKnownYetError):
        return Topics()


class _NotKnownYetError(Exception):
    """The service has read no document yet."""


# The same for every visitor: the first who comes asks in its name.
@st.cache_data(show_spinner=False, ttl=_KEPT_S, max_entries=500)
def _get_cached_topics(address: ApiAddress, language: str, document_id: str, *, _api: ApiClient) -> Topics:
    topics = _api.topics(language, document_id)
    if not (topics.titles or topics.data_questions):
        raise _NotKnownYetError  # which is not kept
    return topics
