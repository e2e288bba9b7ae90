"""Calls about what becomes of conversations: for how long they are kept, links to them, and that all are deleted.

Each raises what `ApiClient` raises.
"""

from dataclasses import dataclass
from urllib.parse import quote

from clients.api_client import ApiClient, make_conversation_path
from clients.api_errors import translate_failures
from clients.run_events import make_from_members

_SOON_S = 3.0  # a page goes without terms
_CLEARING_S = 60.0
_MOST_CALLS = 100
_ATTACHING_S = 90.0


@dataclass(frozen=True, slots=True)
class Terms:
    """For how many seconds after its last use a conversation is kept, whether it may be shared by a link, which may
    open the documents of its answers, how many files may be attached to it, and whether questions may be spoken and
    answers heard."""

    kept_s: int
    are_shareable: bool = False
    are_sources_shared: bool = False
    most_file_count: int = 0
    most_file_bytes: int = 0
    are_recordings_taken: bool = False
    are_answers_spoken: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """A link to a conversation; moments are ISO 8601. `url` is told once, when it is made."""

    id: str
    created_at: str
    expires_at: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file of a conversation; `note` says what was not read of it."""

    id: str
    name: str
    note: str | None = None


def read_terms(api: ApiClient) -> Terms:
    """What holds for all conversations."""
    body = api.call("GET", "/v1/terms", timeout_s=_SOON_S)
    with translate_failures():
        return make_from_members(Terms, body)


def share(api: ApiClient, conversation_id: str, branch: str = "") -> Share:
    """A new link to the conversation as it is now; it shows the branch of the run *branch*, "": the one used last."""
    wanted = {"branch": branch} if branch else {}
    body = api.call("POST", f"{make_conversation_path(conversation_id)}/shares", body=wanted)
    with translate_failures():
        return make_from_members(Share, body)


def list_shares(api: ApiClient, conversation_id: str) -> list[Share]:
    """The links that show the conversation, the oldest first."""
    body = api.call("GET", f"{make_conversation_path(conversation_id)}/shares")
    with translate_failures():
        return [make_from_members(Share, item) for item in body["shares"]]


def revoke(api: ApiClient, conversation_id: str, share_id: str) -> None:
    """Let the link show nothing any more; refused with 404 where it does not anyway."""
    api.call("DELETE", f"{make_conversation_path(conversation_id)}/shares/{quote(share_id, safe='')}")


def attach_file(api: ApiClient, conversation_id: str, name: str, data: bytes, key: str) -> AttachedFile:
    """Attach a file to the conversation, which may be yet to begin; *key*: see `ApiClient.send_form`."""
    path = f"{make_conversation_path(conversation_id)}/files"
    body = api.send_form(path, {"files": (name, data)}, key=key, timeout_s=_ATTACHING_S)
    with translate_failures():
        return make_from_members(AttachedFile, body)


def list_files(api: ApiClient, conversation_id: str) -> list[AttachedFile]:
    """The files of the conversation, the oldest first."""
    body = api.call("GET", f"{make_conversation_path(conversation_id)}/files")
    with translate_failures():
        return [make_from_members(AttachedFile, item) for item in body["files"]]


def detach_file(api: ApiClient, conversation_id: str, file_id: str) -> None:
    """Let no further answer rest on the file; refused with 404 where there is none."""
    api.call("DELETE", f"{make_conversation_path(conversation_id)}/files/{quote(file_id, safe='')}")


def clear(api: ApiClient) -> int:
    """Delete all conversations for good; how many stay because they are being answered."""
    remaining = 0
    for _ in range(_MOST_CALLS):
        told = api.call("POST", "/v1/conversations/clear", body={"permanent": True}, timeout_s=_CLEARING_S)
        with translate_failures():
            remaining = int(told["remaining_count"])
            if remaining <= int(told["busy_count"]) or not told["deleted_count"]:
                break
    return remaining
