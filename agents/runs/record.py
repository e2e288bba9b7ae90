"""What is kept of a run, and what it tells: events are plain objects with a `type`, the last says how it ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from agents.messages import Past
from agents.threads import make_thread_id
from agents.tools.turn import Approval
from auth.background import restore_principal, store_kind
from auth.principal import Principal
from auth.scopes import Scope
from utils.errors import make_problem_document

Event = dict[str, Any]
_WITH_PAST = "\0"  # what a stored question begins with that has a past; no question does
_EMOTION = "emotion"  # in the place of a role
Status = Literal["running", "waiting", "completed", "failed", "cancelled"]
# The type of a run's last event, and the status that it means. One that waits for a person may go on.
ENDS: Mapping[str, Status] = {"done": "completed", "error": "failed", "cancelled": "cancelled", "waiting": "waiting"}


def make_resumed_event(run_id: str) -> Event:
    """Another worker, or another attempt, begins the answer anew."""
    return {"type": "resumed", "run_id": run_id}


def make_cancelled_event(run_id: str) -> Event:
    """It was ended before its time."""
    return {"type": "cancelled", "run_id": run_id}


def make_approval_event(run_id: str, approval: Approval) -> Event:
    """The person has said whether a call may be made, and it goes on."""
    return {"type": "approval", "run_id": run_id, "call_id": approval.call_id, "approved": approval.approved}


def make_error_event(run_id: str, error: BaseException, *, request_id: str) -> Event:
    """It failed; with a whole problem document, for whoever reads it later."""
    problem = make_problem_document(error, instance=f"/v1/runs/{run_id}", request_id=request_id)
    return {"type": "error", "run_id": run_id, "problem": problem}


def extract_result(done: Event) -> dict[str, Any]:
    """What a run has come to, out of its last event."""
    return {name: value for name, value in done.items() if name != "type"}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A turn as it was asked for, enough to begin it anew, and how far it is.

    `ctx` is who asks, and which bot; `bot_version` is that bot's when the run began, and it answers by `model_id` in
    `model_version`. `streams`: tokens are wanted as they come. `fingerprint` tells whether a repeated request is the
    same. `attempts` counts workers that have tried. `created_at` is ISO 8601. `keep_s`: how long it and its events are
    kept after they were last used; 0: as the policy says. `approval`: what the person said of a call of a
    tool, as `Approval.store` gives it. `past`: what was said before, in a conversation that this run begins.
    `data_source_id`: the data source that is asked alone; "" where the bot answers from whatever it may.
    `parent_run_id`: of the turn that the question follows, or `START`; "": the last one. `emotion`: a word for how who
    asked feels; "": not known.
    """

    id: str
    ctx: Principal
    conversation_id: str
    message: str
    request_id: str
    streams: bool = False
    fingerprint: str = ""
    created_at: str = ""
    keep_s: int = 0
    bot_version: int = 0
    model_id: str = ""
    model_version: int = 0
    status: Status = "running"
    attempts: int = 1
    trace_parent: str = ""  # of the request, as its header `traceparent` said
    approval: str = ""
    past: Past = ()
    data_source_id: str = ""
    parent_run_id: str = ""
    emotion: str = ""

    def pack_question(self) -> str:
        """The message, with what was said before it, and how who asks feels: what is kept encrypted."""
        more = [*([(_EMOTION, self.emotion)] if self.emotion else []), *self.past]
        return _WITH_PAST + json.dumps([self.message, *more]) if more else self.message

    def make_fields(self) -> dict[str, str]:
        """All but the question, as texts."""
        return {
            "tenant": self.ctx.tenant_id,
            "key": self.ctx.subject_id,
            "kind": store_kind(self.ctx.kind),
            "shares": "1" if Scope.CONVERSATIONS_ALL in self.ctx.scopes else "",
            "scopes": " ".join(sorted(self.ctx.scopes)),
            "bot": self.ctx.bot_id or "",
            "bot_version": str(self.bot_version),
            "model": self.model_id,
            "model_version": str(self.model_version),
            "conversation": self.conversation_id,
            "request": self.request_id,
            "streams": "1" if self.streams else "",
            "fingerprint": self.fingerprint,
            "created_at": self.created_at,
            "keep_s": str(self.keep_s),
            "status": self.status,
            "attempts": str(self.attempts),
            "trace_parent": self.trace_parent,
            "approval": self.approval,
            "data_source": self.data_source_id,
            "parent": self.parent_run_id,
        }

    @classmethod
    def from_fields(cls, run_id: str, fields: Mapping[str, str], question: str) -> "RunRecord":
        """The record that `make_fields` and `pack_question` were of."""
        message, emotion, past = _unpack_question(question)
        return cls(
            id=run_id,
            ctx=_read_principal(fields),
            conversation_id=fields["conversation"],
            message=message,
            request_id=fields["request"],
            streams=bool(fields["streams"]),
            fingerprint=fields["fingerprint"],
            created_at=fields["created_at"],
            keep_s=int(fields["keep_s"]),
            bot_version=int(fields.get("bot_version", 0)),
            model_id=fields.get("model", ""),
            model_version=int(fields.get("model_version", 0)),
            status=fields["status"],  # type: ignore[arg-type]  # only `make_fields` and the scripts write it
            attempts=int(fields["attempts"]),
            trace_parent=fields.get("trace_parent", ""),
            approval=fields.get("approval", ""),
            past=past,
            data_source_id=fields.get("data_source", ""),
            parent_run_id=fields.get("parent", ""),
            emotion=emotion,
        )

    @property
    def thread_id(self) -> str:
        """The id under which its conversation is kept."""
        return make_thread_id(self.ctx, self.conversation_id)

    @property
    def needed_scopes(self) -> list[Scope]:
        """What its principal must still be allowed to do for it to be gone on with."""
        return [Scope.CHAT_WRITE, *self.ctx.scopes & {Scope.CONVERSATIONS_ALL}]

    def is_of(self, ctx: Principal) -> bool:
        """Whether *ctx* may know of it: who has its conversation has it."""
        asker = ctx if ctx.bot_id else replace(ctx, bot_id=self.ctx.bot_id)  # whichever bot it talks to
        return (self.ctx.tenant_id, self.ctx.owner_id) == (ctx.tenant_id, asker.owner_id)

    def with_end(self, last: Event) -> "RunRecord":
        """The record after the run's *last* event."""
        return replace(self, status=ENDS[last["type"]])


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """What all workers are told: to `cancel` a run, or that a conversation was `deleted`; and where in the stream."""

    place: str
    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has become ours, the number of its last event (0: none), and whether it is wanted no more.

    `is_readable`: without the key of its message it can only be ended.
    """

    record: RunRecord
    last: int
    cancelled: bool
    is_readable: bool = True


def _unpack_question(stored: str) -> tuple[str, str, Past]:
    """The message, the emotion and what was said before."""
    if not stored.startswith(_WITH_PAST):
        return stored, "", ()
    message, *past = json.loads(stored.removeprefix(_WITH_PAST))
    emotion = past.pop(0)[1] if past and past[0][0] == _EMOTION else ""
    return message, emotion, tuple((role, text) for role, text in past)


def _read_principal(fields: Mapping[str, str]) -> Principal:
    # Before they had kinds, everybody had a key.
    kind, bot_id = fields.get("kind", "key"), fields.get("bot") or None
    return restore_principal(fields["tenant"], fields["key"], kind, _read_scopes(fields), bot_id)


def _read_scopes(fields: Mapping[str, str]) -> set[Scope]:
    if "scopes" in fields:
        return {scope for scope in Scope if scope in fields["scopes"].split()}
    # 1.0.0 kept only whether the conversation is shared; before they had owners, all were.
    shared = {Scope.CONVERSATIONS_ALL} if fields.get("shares", "1") else set[Scope]()
    return {Scope.CHAT_WRITE} | shared
