"""The Lua scripts and how they are called: one EVALSHA for an operation, EVAL where the server has lost the script."""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import TracebackType
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, ResponseError

from .clients import AsyncClient, BlockingClient
from .errors import StateUnreadable, StoreRefused, StoreUnavailable
from .meter import CallTiming, Meter, size_bytes
from .verdicts import AWAY, is_away, is_refusal

NAMES = ("get", "list", "part", "put", "replace", "restore", "sweep", "writes")
_MAY_MISS = ("put", "writes")
LACKING = 0  # what these begin their reply with where the server lacks something that was not sent
Argument = bytes | str | int
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One round trip: a script of ours (*script* is its name) or, with an empty name, the command in *args*."""

    script: str
    keys: tuple[str, ...]
    args: tuple[Argument, ...]

    @property
    def about(self) -> str:
        """The key an error is about: that of the state, where a conversation has several."""
        return self.keys[1] if len(self.keys) > 1 else self.keys[0]


# An operation, written once for both interfaces: it yields calls, is sent their replies, and returns its result.
Plan = Generator[Call, Any, T]


@dataclass(frozen=True, slots=True)
class _Script:
    source: str
    sha: str


class Scripts:
    """Executes plans over a blocking or an asyncio client, and counts their calls in *meter*.

    Both methods raise `StoreUnavailable` where the server does not answer or cannot serve, and `StateUnreadable` where
    it answers that the key is not what we keep there.
    """

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = Meter() if meter is None else meter
        folder = files(str(__package__)) / "lua"
        common = (folder / "common.lua").read_text()
        self._scripts = {name: _script(common + (folder / f"{name}.lua").read_text()) for name in NAMES}

    def run(self, connect: Callable[[], BlockingClient], plan: Plan[T]) -> T:
        """The result of *plan* over the blocking client that *connect* gives."""
        try:
            call = next(plan)
            while True:
                with self._counting(call) as timing:
                    with translated(call.about):
                        reply = self._call(connect(), call)
                    _note(timing, call, reply)
                    call = plan.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    async def arun(self, client: AsyncClient, plan: Plan[T]) -> T:
        """The result of *plan* over an asyncio client."""
        try:
            call = next(plan)
            while True:
                with self._counting(call) as timing:
                    with translated(call.about):
                        reply = await self._acall(client, call)
                    _note(timing, call, reply)
                    call = plan.send(reply)
        except StopIteration as done:
            result: T = done.value
            return result

    def _counting(self, call: Call) -> CallTiming:
        return self._meter.call(call.script or str(call.args[0]).lower(), size_bytes(call.keys) + size_bytes(call.args))

    def _call(self, client: BlockingClient, call: Call) -> object:
        if not call.script:
            return client.execute_command(*call.args)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
        script = self._scripts[call.script]
        try:
            return client.evalsha(script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            self._meter.reloaded()
            return client.eval(script.source, len(call.keys), *call.keys, *call.args)

    async def _acall(self, client: AsyncClient, call: Call) -> object:
        if not call.script:
            return await client.execute_command(*call.args)
        script = self._scripts[call.script]
        try:
            return await client.script("EVALSHA", script.sha, len(call.keys), *call.keys, *call.args)
        except NoScriptError:
            self._meter.reloaded()
            return await client.script("EVAL", script.source, len(call.keys), *call.keys, *call.args)


def pairs(reply: Mapping[bytes, bytes] | Sequence[bytes]) -> Mapping[bytes, bytes]:
    """Fields and their values, out of a reply that has them in turn; redis-py makes a dictionary of some."""
    return reply if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))


def _note(timing: CallTiming, call: Call, reply: object) -> None:
    timing.replied(size_bytes(reply), missed=call.script in _MAY_MISS and reply == [LACKING])


def _script(source: str) -> _Script:
    return _Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


class translated:
    """Around a command about *key*: redis-py's errors as ours. A class, since a generator costs more than a small call.

    Raises:
        StoreUnavailable: the server does not answer or cannot serve.
        StoreRefused: it does not let us.
        StateUnreadable: the key is not what we keep there.
    """

    __slots__ = ("_key",)

    def __init__(self, key: str = "") -> None:
        self._key = key

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(exc, (*AWAY, ResponseError)):
            return
        if is_refusal(exc):
            raise StoreRefused("The conversation store refuses the service.") from exc
        if not isinstance(exc, ResponseError) or is_away(exc):
            raise StoreUnavailable("The conversation store did not answer.") from exc
        if self._key:
            # The wrong type, or a record that the script could not take apart.
            raise StateUnreadable(self._key, str(exc)) from exc
