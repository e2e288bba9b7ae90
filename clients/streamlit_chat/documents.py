"""Adding documents on the first page: chosen, followed until they are read, asked about, removed."""

import secrets
import time
from dataclasses import dataclass, field
from functools import partial

import streamlit as st

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused
from clients.document_calls import read_quotas
from clients.streamlit_chat.attempts import ask
from clients.streamlit_chat.browser import get_documents, mount_document_chooser
from clients.streamlit_chat.document_access import (
    DocumentAccess,
    end_document_access,
    explain_refused_key,
    find_document_access,
    show_document_key,
)
from clients.streamlit_chat.failures import announce_failure
from clients.streamlit_chat.markdown import escape_markdown
from clients.streamlit_chat.sessions import find_session_id
from clients.streamlit_chat.talk import current_talk
from clients.streamlit_chat.texts import say
from clients.streamlit_chat.topics import forget_topics
from clients.streamlit_chat.uploads import (
    LARGEST_MEGABYTES,
    MOST_FILES,
    Upload,
    add_chosen,
    continue_uploads,
    find_next_piece,
    forgive_pause,
    remove,
    take_piece,
)
from clients.visitors import Visitor

_LOOK_EVERY_S = 1.0
_TAB, _ANNOUNCED, _LEFT_OUT = "documents-tab", "documents-announced", "documents-left-out"
_LOOKED_AT, _LONG_PAUSE_S = "documents-looked-at", 5.0
_MOST_NAMED = 5  # of the files that are not taken
_MOST_ANNOUNCED = 3
_MEGABYTE = 1e6
_ICONS = {"ready": ":material/check_circle:", "failed": ":material/error:"}


@dataclass(slots=True)
class Announcement:
    """What this tab has announced last, and the files it has announced, by their tab and id."""

    text: str = ""
    uploads: set[tuple[str, str]] = field(default_factory=set)


def show_documents(api: ApiClient, visitor: Visitor) -> None:
    """What a visitor adds documents with who may; elsewhere nothing, or the way to give a key."""
    visitor_id = visitor.visitor_id
    access = find_document_access(visitor_id)
    if access is None:
        show_document_key(api, visitor)
        return
    is_busy = any(each.is_under_way for each in access.uploads)

    @st.fragment(run_every=_LOOK_EVERY_S if is_busy else None)
    def show() -> None:
        _show_uploads(access, api, visitor_id, was_busy=is_busy)

    with st.container(key="adding-documents", border=True):
        st.markdown(f"**{say('documents_add')}**")
        st.caption(escape_markdown(_tell_limits(api.with_key(access.key))))
        show()
        forget = partial(_forget, visitor_id)
        st.button(say("documents_key_forget"), icon=":material/key_off:", type="tertiary", on_click=forget)


def _forget(visitor_id: str, reason: str = "") -> None:
    st.session_state.pop(_LEFT_OUT, None)
    end_document_access(visitor_id, reason)


def _tell_limits(api: ApiClient) -> str:
    limits = say("documents_limits", size=LARGEST_MEGABYTES, count=MOST_FILES)
    try:
        quotas = read_quotas(api)
    except ApiError:  # a refused upload says it
        return limits
    # Without marks in the numbers, which differ by language.
    kept = {"kept": str(quotas.documents), "most": str(quotas.most_documents)}
    sizes = {"size": f"{quotas.size_bytes / _MEGABYTE:.0f}", "most_size": f"{quotas.most_bytes / _MEGABYTE:.0f}"}
    samples = say("documents_samples") if quotas.are_samples_replaced else ""
    return f"{limits} {say('documents_quota', **kept, **sizes)} {samples}"


def _show_uploads(access: DocumentAccess, api: ApiClient, visitor_id: str, *, was_busy: bool) -> None:
    """The files and where to choose others; the whole page is drawn again when the last one is done, and it looks at
    them no more."""
    tab = _continue(access, api, visitor_id)
    if was_busy != any(each.is_under_way for each in access.uploads):
        st.rerun()
    mount_document_chooser(
        wanted=find_next_piece(access.uploads, tab),
        announcement=_announce(access.uploads),
        on_chosen=lambda: _choose(access.uploads, tab),
        on_piece=lambda: take_piece(access.uploads, tab, get_documents("piece")),
    )
    _show_left_out()
    for upload in reversed(access.uploads):
        _show_upload(upload, access, api.with_key(access.key))


def show_uploads_under_way(api: ApiClient, visitor: Visitor) -> None:
    """How many files are on their way, beside a conversation, where they go on as on the first page."""
    access = find_document_access(visitor.visitor_id)
    if access is None:
        return
    _find_announcement().text = ""  # it has been told when the first page is drawn again
    if not any(each.is_under_way for each in access.uploads):
        return

    @st.fragment(run_every=_LOOK_EVERY_S)
    def show() -> None:
        tab = _continue(access, api, visitor.visitor_id)
        count = sum(each.is_under_way for each in access.uploads)
        if not count:
            st.rerun()
        st.caption(f":material/hourglass_empty: {escape_markdown(say('documents_under_way', count=count))}")
        mount_document_chooser(
            wanted=find_next_piece(access.uploads, tab),
            announcement="",
            on_chosen=lambda: None,
            on_piece=lambda: take_piece(access.uploads, tab, get_documents("piece")),
            is_shown=False,
        )

    show()


def _continue(access: DocumentAccess, api: ApiClient, visitor_id: str) -> str:
    """Let the files go on; gives the name of this tab. The page is drawn again where the key does not do any more."""
    if find_document_access(visitor_id) is not access:  # it has ended
        st.rerun()
    tab: str = st.session_state.setdefault(_TAB, secrets.token_urlsafe(8))
    access.sessions[tab] = find_session_id()
    now_s = time.monotonic()
    pause_s = now_s - st.session_state.get(_LOOKED_AT, now_s)
    if pause_s > _LONG_PAUSE_S:  # an answer was written
        forgive_pause(access.uploads, tab, pause_s)
    st.session_state[_LOOKED_AT] = now_s
    ready_count = _count_ready(access.uploads)
    try:
        continue_uploads(access.uploads, tab, api.with_key(access.key), api, is_open=access.is_open)
    except ApiRefused as refusal:
        _forget(visitor_id, explain_refused_key(refusal))
        st.rerun()
    if _count_ready(access.uploads) > ready_count:
        forget_topics()
    return tab


def _count_ready(uploads: list[Upload]) -> int:
    return sum(each.status == "ready" for each in uploads)


def _choose(uploads: list[Upload], tab: str) -> None:
    _find_announcement().text = ""
    st.session_state[_LEFT_OUT] = add_chosen(uploads, tab, get_documents("chosen"))


def _show_left_out() -> None:
    """Which files of the last choice were too many."""
    names: list[str] = st.session_state.get(_LEFT_OUT, [])
    if names:
        named = ", ".join(names[:_MOST_NAMED]) + (" …" if len(names) > _MOST_NAMED else "")
        told = say("documents_left_out", count=len(names), names=named, most=MOST_FILES)
        st.warning(escape_markdown(told), icon=":material/warning:")


def _show_upload(upload: Upload, access: DocumentAccess, api: ApiClient) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        icon = _ICONS.get(upload.status, ":material/hourglass_empty:")
        st.markdown(f"{icon} {escape_markdown(upload.name)}", width="content")
        st.caption(escape_markdown(_describe(upload)), width="content")
        if upload.status not in ("waiting", "sending"):
            take_out = partial(_remove, access, upload, api)
            is_ours = upload.document_id and upload.is_new
            label = say("detach" if is_ours else "documents_hide")
            st.button(label, key=f"document-{upload.tab}-{upload.upload_id}", on_click=take_out)
    key = f"document-ask-{upload.tab}-{upload.upload_id}"
    if upload.question and st.button(escape_markdown(upload.question), key=key, width="stretch"):
        ask(current_talk(), upload.question)
        st.rerun()


def _describe(upload: Upload) -> str:
    if upload.status == "sending":
        return say("documents_sending", percent=len(upload.data) * 100 // upload.size_bytes)
    if upload.status == "failed":
        return say("documents_failed", reason=upload.reason)
    if upload.status == "ready":
        return _describe_ready(upload)
    if upload.status == "reading" and upload.document and 0 < upload.document.progress < 1:
        return say("documents_reading_part", percent=int(upload.document.progress * 100))
    return say(f"documents_{upload.status}")


def _describe_ready(upload: Upload) -> str:
    document = upload.document
    parts = [] if upload.is_new else [say("documents_unchanged")]
    if document and document.page_count:
        parts.append(say("documents_pages", count=document.page_count))
    elif document:
        parts.append(say("documents_passages", count=document.chunk_count))
    if document and document.unread_pages:
        parts.append(say("documents_unread", pages=", ".join(map(str, document.unread_pages))))
    parts += document.notes if document else ()
    return " ".join([*parts, "" if upload.question else say("documents_elsewhere")]).strip()


def _announce(uploads: list[Upload]) -> str:
    """What programs that read aloud tell last: what became of files, or that one was removed. Each is told once."""
    last = _find_announcement()
    done = [each for each in uploads if not each.is_under_way and (each.tab, each.upload_id) not in last.uploads]
    if done:
        last.uploads.update((each.tab, each.upload_id) for each in done)
        done.sort(key=lambda each: each.heard_at_s)
        last.text = "; ".join(f"{each.name}: {_describe(each)}" for each in done[-_MOST_ANNOUNCED:])
    return last.text


def _find_announcement() -> Announcement:
    found: Announcement = st.session_state.setdefault(_ANNOUNCED, Announcement())
    return found


def _remove(access: DocumentAccess, upload: Upload, api: ApiClient) -> None:
    try:
        remove(access.uploads, upload, api)
    except ApiError as failure:
        announce_failure("documents_stays", failure)
        return
    if upload.document_id and upload.is_new:
        _find_announcement().text = say("documents_removed", name=upload.name)
        forget_topics()
