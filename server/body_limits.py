"""How much of the bodies of requests is held in memory, and how long one may take to come."""

from collections import Counter
from dataclasses import dataclass, field

from werkzeug.exceptions import ServiceUnavailable


class ClientLeft(BaseException):
    """The client left before its request was whole. Like a cancellation, nothing an application should handle."""


@dataclass(slots=True)
class BodyLimits:
    """What bodies may take: each one, and all that a process holds at a time.

    Args:
        body_bytes: of one; 413 beyond. None: without a limit.
        patience_s: for a body of no size; 408 beyond, where a body takes longer than this and …
        bytes_per_s: … a second for each so many bytes that have come.
        whole_s: for a body however slowly it comes; 408 beyond, where it takes longer than this and a second for each …
        whole_bytes_per_s: … so many bytes that have come: 200 MB may take an hour, and not the whole day.
        total_bytes: of all bodies that are held at once, leaving out those up to 64 KB; 503 beyond. Those of one owner
            may have half of it, or one body of any size that is taken.
    """

    body_bytes: int | None = None
    patience_s: float = 20.0
    bytes_per_s: int = 8192
    whole_s: float = 600.0
    whole_bytes_per_s: int = 65_536
    total_bytes: int = 268_435_456
    used_bytes: int = 0
    used_by: Counter[str] = field(default_factory=Counter)

    def compute_allowed_s(self, size_bytes: int) -> float:
        """How long a body may have taken of which so much has come."""
        return min(self.patience_s + size_bytes / self.bytes_per_s, self.whole_s + size_bytes / self.whole_bytes_per_s)

    def hold(self, owner: str, size_bytes: int) -> None:
        """Take room for so many bytes more; the opposite of `release`.

        Raises:
            ServiceUnavailable: there is none.
        """
        share_bytes = max(self.total_bytes // 2, self.body_bytes or 0) if owner else self.total_bytes
        for used_bytes, max_bytes in ((self.used_bytes, self.total_bytes), (self.used_by[owner], share_bytes)):
            if used_bytes + size_bytes > max_bytes:
                raise ServiceUnavailable("Too many large requests are under way. Try again in a moment.", retry_after=2)
        self.used_bytes += size_bytes
        self.used_by[owner] += size_bytes

    def release(self, owner: str, size_bytes: int) -> None:
        """Give up room that was taken."""
        self.used_bytes -= size_bytes
        self.used_by[owner] -= size_bytes
        if not self.used_by[owner]:
            del self.used_by[owner]  # owners come and go
