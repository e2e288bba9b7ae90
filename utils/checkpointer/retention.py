"""Which checkpoints of a conversation go, and when: plans that sweep it in steps, see lua/sweep.lua.

A step removes at most `STEP_FIELDS` fields, so that none holds the server for long. Between two steps, and after a
sweep that was broken off, the conversation can be read and written like any other.
"""

from collections.abc import Sequence

from .calls import ScriptCalls
from .scripts import Argument, Plan

STEP_FIELDS = 200
_LEAST_SLACK = 10  # checkpoints: however few are kept, a sweep must have something to do


def due(checkpoints: int, keep: int) -> bool:
    """Whether a conversation of which *keep* checkpoints are kept is to be swept.

    *checkpoints* is how many there are, without those that the last sweep had to leave beyond *keep* (`@checkpoints`
    less `@beyond` in the state hash).
    """
    return checkpoints >= keep + max(_LEAST_SLACK, keep // 2)


def keep_last(script: ScriptCalls, thread_id: str, keep: int) -> Plan[int]:
    """Keep the *keep* newest checkpoints over all namespaces. Gives how many went.

    Kept beside them are the newest of each namespace that a next turn may go on from (the conversation's own, those of
    subgraphs with a memory, those of the step under way), and the ancestors from which delta channels are rebuilt.
    """
    return _swept(script, thread_id, "last", keep)


def latest(script: ScriptCalls, thread_id: str) -> Plan[int]:
    """Keep the newest checkpoint of each namespace, and the ancestors its delta channels need. Gives how many went."""
    return _swept(script, thread_id, "latest")


def runs(script: ScriptCalls, thread_id: str, run_ids: Sequence[str]) -> Plan[int]:
    """Remove the checkpoints of these runs. Gives how many went."""
    return _swept(script, thread_id, "runs", *run_ids)


def _swept(script: ScriptCalls, thread_id: str, *what: Argument) -> Plan[int]:
    removed = 0
    while True:
        reply: tuple[int, int] = yield script("sweep", thread_id, STEP_FIELDS, *what)
        removed += reply[0]
        if not reply[1]:
            return removed
