"""The Lua scripts and how they are called: one EVALSHA for an operation, EVAL where the server has lost the script."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from .connections import Connections
from .errors import StateUnreadable, StoreRefused, StoreUnavailable
from .keys import make_lease_key, make_state_key, make_summary_key
from .meter import Meter, measure_bytes
from .redis_errors import AWAY, is_away, is_refusal

NAMES = ("get", "list", "part", "put", "replace", "restore", "sweep", "writes")
_MAY_MISS = ("put", "writes")
LACKING = 0  # what these begin their reply with where the server lacks something that was not sent
Argument = bytes | str | int


@dataclass(frozen=True, slots=True)
class StateStore:
    """Calls about conversations over *connections*, counted in *meter*. Scripts leave both keys *ttl_ms* to live, with
    0 what they have.

    All raise `StoreUnavailable` where the server does not answer or cannot serve, and `StateUnreadable` where it
    answers that the key is not what we keep there.
    """

    connections: Connections
    meter: Meter
    ttl_ms: int
    scripts: Mapping[str, "_Script"] = field(default_factory=lambda: _load_scripts(), repr=False)

    async def run_script(self, name: str, thread_id: str, *args: Argument, fence: int = 0) -> Any:
        """The reply of the script *name*; see lua/common.lua for what it begins with. *fence* is that of a lease."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        keys = (
            make_summary_key(thread_id),
            make_state_key(thread_id),
            *((make_lease_key(thread_id),) if fence else ()),
        )
        arguments = (len(keys), *keys, self.ttl_ms, now, thread_id, *args)
        script, client = self.scripts[name], self.connections.asynchronous()
        with self._count_call(name, arguments) as call, translate_errors(keys[1]):
            try:
                call.reply = await client.run_script("EVALSHA", script.sha, *arguments)
            except NoScriptError:
                self.meter.count("reloads")
                call.reply = await client.run_script("EVAL", script.source, *arguments)
        return call.reply

    async def run_command(self, name: str, key: str, *args: Argument) -> Any:
        """The reply of Redis to a command about *key*."""
        with self._count_call(name.lower(), (key, *args)) as call, translate_errors(key):
            call.reply = await self.connections.asynchronous().execute_command(name, key, *args)
        return call.reply

    def refuse_unreadable(self, operation: str, thread_id: str, reason: str) -> StateUnreadable:
        """The error of an *operation* that met bytes which are not what we keep there; counted."""
        error = StateUnreadable(make_state_key(thread_id), reason)
        self.meter.count_failure(operation, error)
        return error

    @contextmanager
    def _count_call(self, operation: str, args: Sequence[Argument]) -> "Iterator[_Call]":
        call, began, failure = _Call(), time.perf_counter(), None
        try:
            yield call
        except BaseException as exc:
            failure = exc
            raise
        finally:
            seconds, received = time.perf_counter() - began, measure_bytes(call.reply)
            is_miss = operation in _MAY_MISS and call.reply == [LACKING]
            self.meter.count_call(operation, seconds, measure_bytes(args), received, is_miss=is_miss)
            if failure is not None:
                self.meter.count_failure(operation, failure)


class _Call:
    reply: Any = None


class _Script(NamedTuple):
    source: str
    sha: str


def _load_scripts() -> dict[str, _Script]:
    folder = files(str(__package__)) / "lua"
    common = (folder / "common.lua").read_text()
    sources = {name: common + (folder / f"{name}.lua").read_text() for name in NAMES}
    return {
        name: _Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
        for name, source in sources.items()
    }


def pair_fields(reply: Mapping[bytes, bytes] | Sequence[bytes]) -> Mapping[bytes, bytes]:
    """Fields and their values, out of a reply that has them in turn; redis-py makes a dictionary of some."""
    return reply if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))


@contextmanager
def translate_errors(key: str = "") -> Iterator[None]:
    """Around a command about *key*: redis-py's errors as ours.

    Raises:
        StoreUnavailable: the server does not answer or cannot serve.
        StoreRefused: it does not let us.
        StateUnreadable: the key is not what we keep there.
    """
    try:
        yield
    except (*AWAY, ResponseError) as exc:
        if is_refusal(exc):
            raise StoreRefused("The conversation store refuses the service.") from exc
        if not isinstance(exc, ResponseError) or is_away(exc):
            raise StoreUnavailable("The conversation store did not answer.") from exc
        if key:
            # The wrong type, or a record that the script could not take apart.
            raise StateUnreadable(key, str(exc)) from exc
        raise
