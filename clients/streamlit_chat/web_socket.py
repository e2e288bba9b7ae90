"""The WebSocket between Streamlit's server and the page: which commands go through, and how fast."""

import asyncio
import json
import time
from contextlib import suppress

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has no types
from starlette.types import Message, Receive, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

POLICY_VIOLATION = 1008
_MESSAGES_AT_ONCE, _MESSAGES_PER_S = 20, 2.0  # each may begin the page again; a visitor's tab sends a few as it opens
_COMMANDS = ("rerun_script", "app_heartbeat", "backend_operation_request")  # others are for whoever develops a page
_RUN_BEGINS_IN_S, _FIRST_RUN_ENDS_IN_S = 3.0, 5.0
_RUN_HAS_ENDED = "script_finished"
_RUN_IS_DRAWN = ("delta", "page_config_changed", _RUN_HAS_ENDED)


class PageSocket:
    """Closes the WebSocket when messages come too quickly, or tell of more events than anybody causes.

    Commands that the page does not use are dropped: one of them empties the caches of all visitors.

    A message that begins a run of the page's script waits until the run before is drawn: Streamlit ends the callbacks
    of a run for the next one, and a click would be lost. The message after the first one waits for the end of the first
    run: only then does Streamlit know what can be clicked.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send, self._is_closed = receive, send, False
        self._run_count, self._run_asked_at_s, self._has_run_begun = 0, 0.0, True
        self._is_drawn = asyncio.Event()
        self._is_drawn.set()
        self._messages_left, self._counted_at_s = float(_MESSAGES_AT_ONCE), time.monotonic()

    async def receive(self) -> Message:
        """The next message of the page that the server is to see."""
        while True:
            message, command = await self._receive_in_time()
            if message["type"] != "websocket.receive" or command in _COMMANDS:
                break
        if command == "rerun_script":
            await self._wait_until_drawn()
            self._run_count, self._run_asked_at_s, self._has_run_begun = self._run_count + 1, time.monotonic(), False
            self._is_drawn.clear()
        return message

    async def send(self, message: Message) -> None:
        """Pass on what the server says, unless the socket is closed."""
        if not self._is_drawn.is_set() and message["type"] == "websocket.send":
            self._follow_run(message.get("bytes") or b"")
        if not self._is_closed:
            await self._send(message)

    async def _receive_in_time(self) -> tuple[Message, str]:
        """A message, and what it tells the server to do; "" where that cannot be read."""
        message: Message = {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        if not self._is_closed:
            message = await self._receive()
        told = _read(message)
        if message["type"] == "websocket.receive" and self._comes_too_soon(_count_events(told)):
            refusal = {"code": POLICY_VIOLATION, "reason": "Too many messages."}
            await self._send({"type": "websocket.close", **refusal})
            self._is_closed = True
            message, told = {"type": "websocket.disconnect", **refusal}, BackMsg()
        return message, told.WhichOneof("type") or ""

    def _comes_too_soon(self, count: int) -> bool:
        now_s = time.monotonic()
        earned = (now_s - self._counted_at_s) * _MESSAGES_PER_S
        self._messages_left = min(_MESSAGES_AT_ONCE, self._messages_left + earned) - count
        self._counted_at_s = now_s
        return self._messages_left < 0

    async def _wait_until_drawn(self) -> None:
        is_first = self._run_count == 1
        limit_s = self._run_asked_at_s + _FIRST_RUN_ENDS_IN_S - time.monotonic() if is_first else _RUN_BEGINS_IN_S
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._is_drawn.wait()

    def _follow_run(self, data: bytes) -> None:
        """Note how far the run is that was asked for last; what the run before draws comes first."""
        kind = ForwardMsg.FromString(data).WhichOneof("type")
        self._has_run_begun = self._has_run_begun or kind == "new_session"
        is_drawn = kind == _RUN_HAS_ENDED if self._run_count == 1 else kind in _RUN_IS_DRAWN
        if self._has_run_begun and is_drawn:
            self._is_drawn.set()


def _read(message: Message) -> BackMsg:
    told = BackMsg()
    try:
        told.ParseFromString(message.get("bytes") or b"")
    except DecodeError:
        return BackMsg()  # not what was read of it before
    return told


def _count_events(told: BackMsg) -> int:
    """How many messages it counts as: Streamlit calls the page's functions for each event that components send."""
    widgets = told.rerun_script.widget_states.widgets
    return max(1, sum(_count_events_of(widget.json_trigger_value) for widget in widgets))


def _count_events_of(value: str) -> int:
    if value.lstrip()[:1] != "[":
        return 1 if value else 0
    try:
        return len(json.loads(value))
    except (ValueError, RecursionError):  # from no page of ours
        return _MESSAGES_AT_ONCE + 1
