"""Which checkpoints of a conversation go, and when: it is swept in steps, see lua/sweep.lua.

A step removes at most `STEP_FIELDS` fields, so that none holds the server for long. Between two steps, and after a
sweep that was broken off, the conversation can be read and written like any other.
"""

from .scripts import Argument, StateStore

STEP_FIELDS = 200
_MIN_SLACK = 10  # checkpoints: however few are kept, a sweep must have something to do


def is_due(checkpoints: int, keep: int) -> bool:
    """Whether a conversation of which *keep* checkpoints are kept is to be swept.

    *checkpoints* is how many there are, without those that the last sweep had to leave beyond *keep* (`@checkpoints`
    less `@beyond` in the state hash).
    """
    return checkpoints >= keep + max(_MIN_SLACK, keep // 2)


async def keep_last(store: StateStore, thread_id: str, keep: int) -> int:
    """Keep the *keep* newest checkpoints over all namespaces. Gives how many went.

    Kept beside them are the newest of each namespace that a next turn may go on from (the conversation's own, those of
    subgraphs with a memory, those of the step under way), and the ancestors from which delta channels are rebuilt.
    """
    return await sweep(store, thread_id, "last", keep)


async def sweep(store: StateStore, thread_id: str, *what: Argument) -> int:
    """Remove checkpoints as lua/sweep.lua says of *what*. Gives how many went."""
    removed, has_more = 0, 1
    while has_more:
        count, has_more = await store.run_script("sweep", thread_id, STEP_FIELDS, *what)
        removed += count
    return removed
