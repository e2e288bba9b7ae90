"""Everything the checkpointer raises on purpose.

Each error carries what an HTTP service needs to answer with an RFC 9457 problem document: `slug`, `title`, `status`,
`detail`, and where there are some `headers` and further `members`.

ProblemError
├── Conflict 409
│   ├── CheckpointConflict
│   └── RunSuperseded
├── StoreUnavailable 503
│   └── StoreRefused
├── StateUnreadable 500
└── TypeNotAllowed 500
"""

from typing import ClassVar


class ProblemError(Exception):
    """An expected refusal. `detail` is for the caller and says what to do; it holds no secrets and no internals.

    `members` are further fields of the problem document, `headers` of the response.
    """

    slug: ClassVar[str] = "problem"
    title: ClassVar[str] = "The request could not be served"
    status: ClassVar[int] = 500

    def __init__(
        self, detail: str, *, headers: dict[str, str] | None = None, members: dict[str, object] | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}
        self.members = members or {}


class Conflict(ProblemError):
    slug, title, status = "conflict", "Conflict", 409


class StoreUnavailable(ProblemError):
    slug, title, status = "store-unavailable", "A store did not answer", 503


class StoreRefused(StoreUnavailable):
    """A store that answers, but not as needed: a wrong password, another dimension, another program altogether.

    Waiting does not help. `detail` names the variable to look at, and never holds a secret.
    """

    slug, title = "store-refused", "A store refuses the service"


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

    def __init__(self, expected: str, newest: str) -> None:
        super().__init__("The conversation has gone on since this turn began. Ask again.")
        self.expected, self.found = expected, newest

    def __str__(self) -> str:
        return f"expected {self.expected or 'no checkpoint'}, found {self.found}"


class RunSuperseded(Conflict):
    """A write of a run whose lease has gone to another: nothing of it was stored."""

    slug, title = "run-superseded", "Another worker has taken over this run"

    def __init__(self) -> None:
        super().__init__("This run was taken over by another worker, which goes on with it.")


class TypeNotAllowed(ProblemError, TypeError):
    """The state holds an object that could not be read again, so that it is not written either.

    The message names the class for the developer; `detail`, which a caller may see, does not.
    """

    slug, title, status = "type-not-allowed", "The conversation cannot be saved", 500

    def __init__(self, names: str, reason: str) -> None:
        super().__init__("This answer holds something that cannot be kept in a conversation. Tell the operator.")
        self.names, self.reason = names, reason

    def __str__(self) -> str:
        return f"{self.names} cannot be stored: {self.reason}"


class UnreadableValue(Exception):
    """A single value that cannot be decoded; the saver turns it into `StateUnreadable`, which knows the key."""
