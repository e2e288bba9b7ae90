"""Files that are attached to conversations, read at once: somebody waits for them."""

from dataclasses import replace

from domain.documents import DocumentContent
from ingestion.policy import ReadingPolicy
from utils.concurrency import ConcurrencyLimit

_AT_ONCE, _MAX_WAITING = 2, 18
_BUSY = "Many files are being read already. Try again in a moment."
_PAGES, _CHARACTERS = 200, 600_000
_SECONDS = 20.0
_RECOGNISED_PAGES, _SECONDS_A_PAGE = 5, 10.0


class AttachedFileReader:
    """Reads them as uploads are read, with lower limits: also of pages whose text is recognised.

    Blocking, for threads; `turns` are to be taken around each call in a service.
    """

    def __init__(self, policy: ReadingPolicy) -> None:
        limits = replace(
            policy.limits,
            pages=_PAGES,
            characters=_CHARACTERS,
            timeout_s=_SECONDS,
            recognised_pages=_RECOGNISED_PAGES,
            page_timeout_s=_SECONDS_A_PAGE,
        )
        self._policy = replace(policy, limits=limits)
        self.turns = ConcurrencyLimit(_AT_ONCE, may_wait=_MAX_WAITING, refusal=_BUSY)

    def read(self, data: bytes, name: str) -> tuple[DocumentContent, str | None]:
        """What is in it, and what was not read of it and why.

        Raises:
            UnreadableDocument: in plain words, with what to do about it.
            ScannerUnavailable, NotReady: not now.
        """
        with self._policy.open_parser() as parser:
            reader = self._policy.make_reader(parser)
            content = reader.read_whole(data, name, name)
            return content, reader.describe_unread(content.details)
