"""The turns of a conversation as a tree: a question that is asked anew stands beside the former one, as its sibling.

A branch is a line of turns from the beginning to one after which nothing was asked. What was asked last stands on the
branch that a conversation is shown by, and goes on with, unless another one is named.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from utils.errors import Conflict, NotFound

START = "start"
"""What a first question follows. No run is called so."""
MAX_SIBLINGS = 20  # questions that follow the same turn
T = TypeVar("T")


class TurnPosition(NamedTuple):
    """Its run, and that of the turn it follows, or `START`; None: the one before it in the list of all."""

    run_id: str
    parent_run_id: str | None


class Branches(Generic[T]):
    """The turns of one conversation, in the order in which they were asked.

    Args:
        locate: where a turn stands. A turn whose former one is not there (any more) counts as a first one.
    """

    def __init__(self, turns: Sequence[T], locate: Callable[[T], TurnPosition]) -> None:
        self.turns, self._places = turns, [locate(turn) for turn in turns]
        named = defaultdict[str, list[int]](list)
        for index, place in enumerate(self._places):
            named[place.run_id].append(index)
        # Before it where the name of a run was used again: so nothing follows itself.
        self._parents = [self._find_parent(index, named) for index in range(len(turns))]
        self._following = defaultdict[int, list[int]](list)
        for index, parent in enumerate(self._parents):
            self._following[parent].append(index)
        self._named = named

    def find(self, run_id: str) -> int:
        """The number of the turn of that run, the last where its name was used again; -1 for `START`.

        Raises:
            NotFound: there is none.
        """
        if run_id == START:
            return -1
        if run_id not in self._named:
            raise NotFound("The conversation has no turn of this run.")
        return self._named[run_id][-1]

    def find_end(self, index: int | None = None) -> int:
        """The number of the last turn on the branch of turn *index* that was asked last; None: of all."""
        if index is None:
            return len(self.turns) - 1
        below = {index}
        for number in range(index + 1, len(self.turns)):  # what follows a turn was asked after it
            if self._parents[number] in below:
                below.add(number)
        return max(below)

    def list_path(self, index: int) -> list[int]:
        """The numbers of the turns from the beginning to turn *index*."""
        path = list[int]()
        while index >= 0:
            path.append(index)
            index = self._parents[index]
        return path[::-1]

    def list_siblings(self, index: int) -> list[str]:
        """The runs of the turns that follow the same one as turn *index*, itself among them."""
        return [self._places[each].run_id for each in self._following[self._parents[index]]]

    def name_parent(self, index: int) -> str:
        """The run of the turn that turn *index* follows, or `START`."""
        parent = self._parents[index]
        return START if parent < 0 else self._places[parent].run_id

    def check_room(self, index: int) -> None:
        """Return if one more may follow turn *index*.

        Raises:
            Conflict: there are as many as there may be.
        """
        if len(self._following[index]) >= MAX_SIBLINGS:
            raise Conflict(
                f"There are {MAX_SIBLINGS} versions of this turn, which is the limit: go on with one of them, or ask "
                "in a new conversation.",
                members={"limit": MAX_SIBLINGS},
            )

    def _find_parent(self, index: int, named: dict[str, list[int]]) -> int:
        parent = self._places[index].parent_run_id
        if parent is None:
            return index - 1
        return max((each for each in named.get(parent, ()) if each < index), default=-1)
