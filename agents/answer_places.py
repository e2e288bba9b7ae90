"""Where the answers of long conversations stand, so that one is found without reading the others.

`places:<thread>` is a hash in Redis: a run's id, and the place of its answer among the messages. It is a help and no
truth: whoever finds an answer by it looks that it is the one, and without it the messages are looked through from the
newest on. So it is written only now and then, for many answers at once, and what was noted of the last ones is not
missed.
"""

from collections.abc import Sequence

from langchain_core.messages import AnyMessage

from agents.messages import find_answer_run
from agents.redis_commands import RedisCommands
from agents.runs.keys import make_places_key
from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient

_EVERY = 32  # messages
_SLACK = 8  # more than one turn adds: none is left out where the step between two notes is passed over
_RETRY_S = 2.0


class AnswerPlaces:
    """Notes and finds places; does neither while Redis is away.

    *ttl_s*: how long conversations are kept after they were last used.
    """

    def __init__(self, redis: AsyncClient, *, ttl_s: int) -> None:
        self._ttl_s = ttl_s
        circuit = Circuit(
            retry_s=_RETRY_S,
            away="Redis does not answer: the index of answers is not updated",
            back="Redis answers again: places of answers are noted",
        )
        self._commands = RedisCommands(redis, circuit)

    async def note(self, thread_id: str, messages: Sequence[AnyMessage]) -> None:
        """After a turn, which has left these messages: note the answers among the last ones, where it is time to."""
        if len(messages) < _EVERY or len(messages) % _EVERY >= _SLACK:
            return
        first = max(0, len(messages) - _EVERY - 2 * _SLACK)
        runs = [(find_answer_run(message.id), place) for place, message in enumerate(messages[first:], first)]
        flat = [part for run_id, place in runs if run_id for part in (run_id, place)]
        if flat:
            await self._commands.try_command("HSET", make_places_key(thread_id), *flat)
            await self._commands.try_command("PEXPIRE", make_places_key(thread_id), self._ttl_s * 1000)

    async def find(self, thread_id: str, run_id: str) -> int | None:
        """Where the answer of a run was when it was noted; None where it was not."""
        result = await self._commands.try_command("HGET", make_places_key(thread_id), run_id)
        if result is None:
            return None
        await self._commands.try_command("PEXPIRE", make_places_key(thread_id), self._ttl_s * 1000)
        return int(result) if result.isdigit() else None
