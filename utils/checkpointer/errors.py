"""What can be wrong with stored state, apart from the store being away."""

from utils.errors import ProblemError


class StateUnreadable(ProblemError):
    """Bytes under a key of ours that this version cannot or must not read.

    `key` and `reason` are for the log; `detail`, which a caller may see, names neither.
    """

    slug, title, status = "state-unreadable", "The conversation cannot be read", 500

    def __init__(self, key: str, reason: str) -> None:
        super().__init__("The stored state of this conversation cannot be read.")
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class UnreadableValue(Exception):
    """A single value that cannot be decoded; the saver turns it into `StateUnreadable`, which knows the key."""
