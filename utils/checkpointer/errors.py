"""What can be wrong with stored state, apart from the store being away."""

from utils.errors import Conflict, ProblemError


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


class CheckpointConflict(Conflict):
    """A run went on from a checkpoint that another run has meanwhile gone on from: stored, one of the two would be lost
    from sight. `expected` and `found` are the checkpoint ids, for the log."""

    slug, title = "conversation-changed", "The conversation has changed"

    def __init__(self, expected: str, found: str) -> None:
        super().__init__("The conversation has gone on since this turn began. Ask again.")
        self.expected, self.found = expected, found

    def __str__(self) -> str:
        return f"expected {self.expected or 'no checkpoint'}, found {self.found}"


class RunSuperseded(Conflict):
    """A write of a run whose lease has gone to another: nothing of it was stored."""

    slug, title = "run-superseded", "Another worker has taken this run over"

    def __init__(self) -> None:
        super().__init__("This run was taken over by another worker, which goes on with it.")


class UnreadableValue(Exception):
    """A single value that cannot be decoded; the saver turns it into `StateUnreadable`, which knows the key."""
