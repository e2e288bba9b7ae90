"""Reading without use: a saver whose reads leave the time that conversations have left as it is."""

import copy

from utils.checkpointer.saver import RedisCheckpointer
from utils.checkpointer.scripts import Scripts, _script

_USE = "local function was_read()"


def looking(saver: RedisCheckpointer) -> RedisCheckpointer:
    """The same saver over the same connections, for looking only."""
    clone = copy.copy(saver)
    clone._scripts = _LookingScripts()
    return clone


class _LookingScripts(Scripts):
    def __init__(self) -> None:
        super().__init__()
        sources = {name: script.source for name, script in self._scripts.items()}
        # The function that every read calls returns at once; the key stays as short-lived as it is.
        self._scripts = {name: _script(text.replace(_USE, f"{_USE} do return end")) for name, text in sources.items()}
