"""The parts of the page that run in the visitor's browser: scripts of ours, served by Streamlit with the page."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from clients.streamlit_chat.talk import LONGEST_QUESTION
from clients.streamlit_chat.texts import LANGUAGE_COOKIE, LANGUAGES, get_language, say

_HERE = Path(__file__).parent
_BUTTON_STYLE = _HERE.joinpath("button_style.css").read_text("utf-8")
_FILE_PARTS = ("encode", "control")  # of components that send files
_SHELF_TEXTS = (
    "conversations",
    "conversations_blocked",
    "conversations_none",
    "conversations_none_found",
    "delete",
    "end_visit",
    "end_visit_anew",
    "end_visit_list",
    "rename",
)


def mount_page_scripts(conversation: str, *, owner: str, keeps_drafts: bool) -> None:
    """Let marks open their sources, watch the question's box, and bring the buttons of messages along.

    *conversation*: the one that is shown, also before it has begun; each has a draft of its own. What is typed in it
    is kept until the tab is closed, or another *owner* comes, as `mount_shelf` has it, where it *keeps_drafts*.
    """
    kept = {"conversation": conversation, "keepsDrafts": keeps_drafts, "owner": owner}
    data = {"language": get_language(), "lost": say("lost_page"), "names": _name_parts(), **kept}
    _component("page", isolated=False)(key="page", data=data, on_back_change=lambda: None)
    too_long = say("question_long", count="{count}", most=LONGEST_QUESTION)
    limits = {"longest": LONGEST_QUESTION, "tooLong": too_long, "waits": say("question_waits")}
    _component("box", isolated=False)(key="box", data=limits)
    _component("buttons", isolated=False)(key="buttons", data={"style": _BUTTON_STYLE})


def _name_parts() -> dict[str, str]:
    """What parts of Streamlit's page are called, which has English names for them, by their selectors."""
    return {
        '[data-testid="stChatInputSubmitButton"]': say("shell_send"),
        '[data-testid="stSkipToContent"]': say("skip"),
    }


def mount_language_switch(*, is_kept: bool, on_chosen: Callable[[], None]) -> None:
    """A list of the languages that the page speaks; *on_chosen* is called with one, which `get_chosen_language` gives.

    The browser keeps the choice: until it is closed, or longer where it *is_kept*.
    """
    choice = {"languages": list(LANGUAGES.items()), "current": get_language(), "label": say("language")}
    data = {**choice, "cookie": LANGUAGE_COOKIE, "isKept": is_kept}
    _component("language", isolated=True)(key="language", data=data, width="content", on_chosen_change=on_chosen)


def get_chosen_language() -> Any:
    """What the browser sent as a language; anything, since a browser sends what it likes."""
    return st.session_state["language"].get("chosen")


def mount_actions(
    key: str, data: Mapping[str, Mapping[str, str]], *, width: Literal["content", "stretch"] = "content", **more: Any
) -> Any:
    """A row of buttons: *data* has `thumbs`, `trace`, `listen`, `copy`, `edit`, `versions`, `retry` and `print`, each
    with its `label`, as buttons.js reads them. `on_retried_change` and the like are called when one is pressed; what
    is given back has `retried` and the like, which is set in that run alone."""
    return _component("actions", isolated=False)(key=key, data=dict(data), width=width, **more)


def mount_attach(*, most_bytes: int, on_attached: Callable[[], None]) -> None:
    """A button to choose a file with; *on_attached* is called with one, which `get_attached` gives then.

    Of one that is larger than *most_bytes* it gives the name alone.
    """
    data = {"label": say("attach"), "mostBytes": most_bytes}
    _component("attach", isolated=True, shared=_FILE_PARTS)(key="attach", data=data, on_attached_change=on_attached)


def get_attached() -> Any:
    """What the browser sent as a file; anything, since a browser sends what it likes."""
    return st.session_state["attach"].get("attached")


def mount_document_chooser(
    *,
    wanted: Mapping[str, Any] | None,
    announcement: str,
    on_chosen: Callable[[], None],
    on_piece: Callable[[], None],
    is_shown: bool = True,
) -> None:
    """Where files are chosen or dropped that become documents; `get_documents` gives what the browser sent.

    Args:
        wanted: the piece that it is to send: `{"id", "from", "bytes", "repeats"}`; None for none.
        announcement: what programs that read aloud tell.
        on_chosen: called with a list of files, each `{"id", "name", "size"}`.
        on_piece: called with a piece, `{"id", "from", "data"}`, in Base64.
        is_shown: whether others can be chosen; else it only sends.
    """
    data = {"label": say("documents_choose") if is_shown else "", "wanted": wanted, "announcement": announcement}
    _component("documents", isolated=True, shared=_FILE_PARTS)(
        key="documents", data=data, on_chosen_change=on_chosen, on_piece_change=on_piece
    )


def get_documents(what: str) -> Any:
    """What the browser sent, "chosen" or "piece"; anything, since a browser sends what it likes."""
    return st.session_state["documents"].get(what)


def mount_microphone(*, most_bytes: int, on_spoken: Callable[[], None]) -> None:
    """A button to speak with; *on_spoken* is called with a recording, which `get_spoken` gives then.

    Of one that is larger than *most_bytes* it gives "".
    """
    texts = {"label": say("speak"), "help": say("speak_help"), "recording": say("speak_recording")}
    data = {**texts, "denied": say("speak_denied"), "mostBytes": most_bytes}
    _component("microphone", isolated=True, shared=_FILE_PARTS)(key="microphone", data=data, on_spoken_change=on_spoken)


def get_spoken() -> Any:
    """What the browser sent as a recording, in Base64; anything, since a browser sends what it likes."""
    return st.session_state["microphone"].get("spoken")


def mount_shelf(
    *,
    history: str,
    owner: str,
    current: Mapping[str, Any] | None,
    removed: Sequence[str],
    kept: Sequence[Mapping[str, Any]] | None,
    is_search: bool,
    on_opened: Callable[[], None],
    on_discarded: Callable[[], None],
    on_renamed: Callable[[], None],
    cleared: str,
) -> None:
    """The list of conversations: those in the browser's own storage, and those that the service lists.

    Args:
        history: where it is kept: "on", "session" (until the tab is closed) or "off".
        owner: whose list it is, of all who use this browser; empty for who has not signed in.
        current: `{"id", "title", "turns"}` of the conversation that is shown, put on the list when it has turns.
        removed: ids to be taken off it.
        kept: those that the service lists, as `{"id", "title", "used"}`, which is in ms; None where it lists none.
        is_search: only those of *kept* are shown.
        on_opened: called when one is chosen: `chosen("opened")` is its id.
        on_discarded: called when one is to be deleted: `chosen("discarded")` is its `{"id", "title"}`.
        on_renamed: called when one is to have another title: `chosen("renamed")` is its `{"id", "title"}`.
        cleared: names the last time that all were deleted: at each new one the browser forgets its own; "" for none.
    """
    shown = {"kept": None if kept is None else list(kept), "isSearch": is_search, "cleared": cleared}
    texts = {name: say(name) for name in _SHELF_TEXTS}
    data = {"history": history, "owner": owner, "current": current, "removed": list(removed), "texts": texts, **shown}
    _component("shelf", isolated=True)(
        key="shelf",
        data=data,
        on_opened_change=on_opened,
        on_discarded_change=on_discarded,
        on_renamed_change=on_renamed,
    )


def get_choice(what: str) -> Any:
    """What the browser sent with the choice; anything, since a browser sends what it likes."""
    return st.session_state["shelf"].get(what)


@cache  # Streamlit wants each registered once
def _component(name: str, *, isolated: bool, shared: Sequence[str] = ()) -> Callable[..., Any]:
    """The component of those files, with *shared* ones before them: it can load no other file itself."""
    script, style = (_join_files([*shared, name], kind) for kind in ("js", "css"))
    return st.components.v2.component(f"pustaka_{name}", js=script, css=style, isolate_styles=isolated)


def _join_files(names: Sequence[str], kind: str) -> str:
    paths = (_HERE.joinpath(f"{name}.{kind}") for name in names)
    return "\n".join(path.read_text("utf-8") for path in paths if path.exists())
