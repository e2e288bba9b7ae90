"""Files on their way from a browser into the documents: sent piece by piece, handed to the API, followed, removed.

The page asks the browser for each piece, so one file at a time is in memory, and what the browser sends unasked is
passed over.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from clients.api_client import ApiClient
from clients.api_errors import ApiError, ApiRefused, ignore_missing
from clients.document_calls import DocumentProgress, delete_document, load_document, read_document
from clients.streamlit_chat.base64_data import decode_base64
from clients.streamlit_chat.texts import get_language, say
from clients.streamlit_chat.wording import explain_refused_document, log_failure

# In Base64 it fits into a request to the API, whose MAX_CONTENT_LENGTH is 16 MiB.
LARGEST_BYTES = 10_000_000
LARGEST_MEGABYTES = f"{LARGEST_BYTES / 1e6:g}"
MOST_FILES = 20  # on their way at once
PIECE_BYTES = 4_000_000  # in Base64 it fits into a message to Streamlit, see .streamlit/config.toml
_LISTED = 50
_LONGEST_NAME, _LONGEST_ID = 255, 40
_ASK_AGAIN_S = 20.0
_LOST_AFTER_S, _OPEN_LOST_AFTER_S = 60.0, 1800.0  # an open tab may write an answer, or have a slow line
_FOLLOWED = 5  # documents in one look
_LOOK_AGAIN_S, _LONGEST_PAUSE_S = 2.0, 60.0  # a key may have few requests left
_UNSENT, _UNREAD = ("waiting", "sending"), ("queued", "reading")
_REFUSED_KEY, _LATER = (401, 403), (429, 503)


@dataclass(slots=True)
class Upload:
    """A file and how far it is. `status`: "waiting" to be sent, "sending", "queued" to be read, "reading", "ready", or
    "failed" for `reason`.

    `tab`: which browser tab has the file. `heard_at_s`: when more of it was there last, by the monotonic clock.
    `due_at_s`: when the service is asked about it again; `pause_s`: the pause after that.
    `is_new`: it was not there before. `document`: what was read of it; `question`: one about it, "" where the page does
    not answer from it.
    """

    upload_id: str
    tab: str
    name: str
    size_bytes: int
    status: str = "waiting"
    data: bytearray = field(default_factory=bytearray, repr=False)
    heard_at_s: float = field(default_factory=time.monotonic)
    due_at_s: float = 0.0
    pause_s: float = _LOOK_AGAIN_S
    document_id: str = ""
    is_new: bool = True
    document: DocumentProgress | None = None
    question: str = ""
    reason: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether more comes of it by itself."""
        return self.status in (*_UNSENT, *_UNREAD)

    @property
    def is_whole(self) -> bool:
        """Whether all of the file has come from the browser."""
        return len(self.data) == self.size_bytes

    @property
    def is_due(self) -> bool:
        """Whether the service may be asked about it again."""
        return self.due_at_s <= time.monotonic()

    def postpone(self, wait_s: float) -> None:
        """Ask the service about it again in so many seconds."""
        self.heard_at_s = time.monotonic()
        self.due_at_s = self.heard_at_s + wait_s

    def fail(self, reason: str) -> None:
        """Note why it does not go in."""
        self.status, self.reason, self.data, self.heard_at_s = "failed", reason, bytearray(), time.monotonic()


def add_chosen(uploads: list[Upload], tab: str, chosen: Any) -> list[str]:
    """Note what the visitor has chosen in this *tab*, as the browser tells it, which may be anything. Gives the names
    of files that are not taken, since there are too many."""
    left_out = []
    room = {"": MOST_FILES - sum(each.is_under_way for each in uploads)}  # by what is wrong with a file
    known = {each.upload_id for each in uploads if each.tab == tab}
    for each in chosen if isinstance(chosen, list) else ():
        upload = _read_chosen(each, tab)
        if upload is None or upload.upload_id in known:
            continue
        known.add(upload.upload_id)
        reason = _find_obstacle(upload)
        room[reason] = room.get(reason, MOST_FILES) - 1
        if room[reason] < 0:
            left_out.append(upload.name)
            continue
        if reason:
            upload.fail(reason)
        uploads.append(upload)
    finished = [each for each in uploads if not each.is_under_way]
    for each in finished[: max(0, len(uploads) - _LISTED)]:
        uploads.remove(each)
    return left_out


def _read_chosen(chosen: Any, tab: str) -> Upload | None:
    match chosen:
        case {"id": str(upload_id), "name": str(name), "size": int(size)} if name and len(upload_id) < _LONGEST_ID:
            return Upload(upload_id, tab, name[-_LONGEST_NAME:], size)
    return None


def _find_obstacle(upload: Upload) -> str:
    if upload.size_bytes > LARGEST_BYTES:
        return say("documents_too_large", size=LARGEST_MEGABYTES)
    return "" if upload.size_bytes > 0 else say("documents_empty")


def find_next_piece(uploads: Iterable[Upload], tab: str) -> dict[str, Any] | None:
    """The piece that the browser tab is to send next, and how often it was asked for again; None: nothing."""
    for upload in uploads:
        if upload.status in _UNSENT and upload.tab == tab:
            if upload.is_whole:  # the service takes it later
                return None
            repeats = int((time.monotonic() - upload.heard_at_s) / _ASK_AGAIN_S)
            return {"id": upload.upload_id, "from": len(upload.data), "bytes": PIECE_BYTES, "repeats": repeats}
    return None


def take_piece(uploads: list[Upload], tab: str, sent: Any) -> None:
    """Note a piece that the browser sent, which may be anything."""
    wanted = find_next_piece(uploads, tab)
    match sent:
        case {"id": str(upload_id), "from": int(start), "data": data} if wanted is not None:
            if (upload_id, start) != (wanted["id"], wanted["from"]):
                return
        case _:
            return
    upload = next(each for each in uploads if each.upload_id == upload_id and each.tab == tab)
    piece = decode_base64(data)
    if not piece or len(upload.data) + len(piece) > upload.size_bytes:
        upload.fail(say("documents_unreadable"))
        return
    upload.data += piece
    upload.status, upload.heard_at_s = "sending", time.monotonic()


def continue_uploads(
    uploads: Sequence[Upload],
    tab: str,
    api: ApiClient,
    visitor_api: ApiClient,
    *,
    is_open: Callable[[str], bool] = lambda tab: False,
) -> None:
    """Hand over what has arrived from this *tab*, and see how far the documents are; *visitor_api* asks for questions
    about them, and *is_open* tells whether a tab is still there.

    Raises:
        ApiRefused: the key may not, or not any more.
    """
    for upload in uploads:
        if upload.status == "sending" and upload.tab == tab and upload.is_whole and upload.is_due:
            _hand_over(upload, api)
    _give_up_lost(uploads, is_open)
    unread = [each for each in uploads if each.status in _UNREAD]
    for upload in unread[:_FOLLOWED]:
        if upload.is_due:
            _follow(upload, api, visitor_api)


def forgive_pause(uploads: Iterable[Upload], tab: str, pause_s: float) -> None:
    """Do not hold it against this *tab* that it was not asked for more in the last *pause_s* seconds."""
    for upload in uploads:
        if upload.status in _UNSENT and upload.tab == tab:
            upload.heard_at_s += pause_s


def _give_up_lost(uploads: Sequence[Upload], is_open: Callable[[str], bool]) -> None:
    """Those of tabs that send nothing any more: they were closed, or loaded again."""
    heard: dict[str, float] = {}
    for upload in uploads:
        heard[upload.tab] = max(heard.get(upload.tab, 0.0), upload.heard_at_s)
    for upload in uploads:
        if upload.status not in _UNSENT:
            continue
        limit_s = _OPEN_LOST_AFTER_S if is_open(upload.tab) else _LOST_AFTER_S
        if time.monotonic() - heard[upload.tab] > limit_s:
            upload.fail(say("documents_interrupted"))


def _hand_over(upload: Upload, api: ApiClient) -> None:
    try:
        loaded = load_document(api, upload.name, bytes(upload.data))
    except ApiError as failure:
        wait_s = _read_wait(failure)
        if wait_s is None or wait_s > _LONGEST_PAUSE_S:
            upload.fail(_explain(failure))
        else:
            upload.postpone(wait_s)
        return
    upload.status, upload.data, upload.heard_at_s = "queued", bytearray(), time.monotonic()
    upload.document_id, upload.is_new = loaded.id, not loaded.unchanged


def _follow(upload: Upload, api: ApiClient, visitor_api: ApiClient) -> None:
    try:
        document = read_document(api, upload.document_id)
    except ApiError as failure:
        wait_s = _read_wait(failure)
        if wait_s is not None:
            upload.postpone(min(wait_s, _LONGEST_PAUSE_S))
        elif isinstance(failure, ApiRefused):
            upload.fail(_explain(failure))
        return  # where it is away, it is asked again
    upload.document = document
    upload.due_at_s = time.monotonic() + upload.pause_s
    upload.pause_s = min(upload.pause_s * 2, _LONGEST_PAUSE_S)
    if document.status == "completed":
        upload.question = _find_question(upload, document, visitor_api)
        upload.status, upload.heard_at_s = "ready", time.monotonic()
    elif document.status in ("failed", "cancelled"):
        upload.fail(document.reason)
    else:
        upload.status = "reading" if document.status == "processing" else "queued"


def _read_wait(failure: ApiError) -> float | None:
    """Seconds until the service may be asked again; None where it is not busy."""
    if not isinstance(failure, ApiRefused) or failure.status not in _LATER:
        return None
    return failure.retry_after_s or _LOOK_AGAIN_S


def _find_question(upload: Upload, document: DocumentProgress, visitor_api: ApiClient) -> str:
    """One that is found in the document, as those of the first page are; where there is none, what it is about."""
    plain = say("documents_question", title=document.title or upload.name)
    try:
        topics = visitor_api.topics(get_language(), upload.document_id)
    except ApiError as failure:
        is_elsewhere = isinstance(failure, ApiRefused) and failure.status == HTTPStatus.NOT_FOUND
        return "" if is_elsewhere else plain
    return topics.questions[0].question if topics.questions else plain


def remove(uploads: list[Upload], upload: Upload, api: ApiClient) -> None:
    """Take the document out again, and the file off the list; what was there before stays there.

    Raises:
        ApiError: the API is away or refuses.
    """
    if upload.document_id and upload.is_new:
        with ignore_missing():
            delete_document(api, upload.document_id)
    if upload in uploads:
        uploads.remove(upload)


def _explain(failure: ApiError) -> str:
    """Why a file is not taken.

    Raises:
        ApiRefused: the key may not.
    """
    log_failure(failure)
    if isinstance(failure, ApiRefused) and failure.status in _REFUSED_KEY:
        raise failure
    return explain_refused_document(failure)
