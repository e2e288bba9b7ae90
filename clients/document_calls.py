"""Calls about the documents that the chat page answers from, with a key that may write them.

Each raises what `ApiClient` raises.
"""

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote

from clients.api_client import ApiClient
from clients.api_errors import ApiRefused, translate_failures
from clients.run_events import make_from_members

_TENANT = "default"  # the chat page answers from its documents; the API refuses keys of others
_NOT_TAKEN = (400, 422)
_SOON_S = 5.0
_SENDING_S = 60.0


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many documents, and bytes of their files, there may be, and are; those that could not be read are not among
    `documents`.

    `are_samples_replaced`: there are built-in samples, which the first document of one's own takes the place of.
    """

    most_documents: int
    documents: int
    most_bytes: int
    size_bytes: int
    are_samples_replaced: bool = False


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """A document that is going to be read; `unchanged`: it was there before."""

    id: str
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class DocumentProgress:
    """How far a document is. `status`: "pending", "processing", "completed", "failed" or "cancelled"; `progress`: of
    what is done now, 0 to 1; `reason`: why it failed; `notes`: what was left out of it, in sentences."""

    status: str
    title: str = ""
    progress: float = 0.0
    page_count: int | None = None
    chunk_count: int = 0
    unread_pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ""


def check_document_access(api: ApiClient) -> None:
    """Return where the key of *api* may read documents and write those of the chat page.

    Refused with 401 where it is not valid, with 403 where it may not, with 404 where it is another tenant's.
    """
    read_quotas(api)
    try:
        _load(api, "-", "-")
    except ApiRefused as refusal:  # after the key was looked at: there is no such file
        if refusal.status not in _NOT_TAKEN:
            raise


def read_quotas(api: ApiClient) -> Quotas:
    """The quotas of the key's tenant."""
    body = api.call("GET", "/v1/tenant/usage", timeout_s=_SOON_S)
    with translate_failures():
        documents, size = body["document_quota"], body["byte_quota"]
        kept = int(documents["used"]) - int(body.get("failed_document_count", 0))
        are_samples_replaced = bool(body.get("are_samples_replaced"))
        return Quotas(int(documents["limit"]), kept, int(size["limit"]), int(size["used"]), are_samples_replaced)


def load_document(api: ApiClient, name: str, data: bytes) -> LoadedDocument:
    """Have a file read; refused with 413, 422, 429 or 507, and the reason, where it cannot be taken."""
    body = _load(api, name, b64encode(data).decode())
    with translate_failures():
        return make_from_members(LoadedDocument, body)


def read_document(api: ApiClient, document_id: str) -> DocumentProgress:
    """How far the document is; refused with 404 where there is none."""
    body = api.call("GET", _make_path(document_id), timeout_s=_SOON_S)
    with translate_failures():
        told = {name: tuple(body.get(name) or ()) for name in ("unread_pages", "notes")}
        error = body.get("error") or {}
        return make_from_members(DocumentProgress, {**body, **told, "reason": str(error.get("detail") or "")})


def delete_document(api: ApiClient, document_id: str) -> None:
    """Let nobody find the document any more; refused with 404 where there is none."""
    api.call("DELETE", _make_path(document_id))


def _load(api: ApiClient, name: str, content: str) -> dict[str, object]:
    sent = {"company": _TENANT, "filename": name, "content": content}
    return api.call("POST", "/api/load-document", body=sent, timeout_s=_SENDING_S)


def _make_path(document_id: str) -> str:
    return f"/v1/tenant/documents/{quote(document_id, safe='')}"
