"""What our saver must reach, in figures, against the best of the Redis savers that keep the whole history as well."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.checkpointer_savers import OURS, REDIS_PEERS

# By saver, then "durability, at once", then turns, then name of the figure.
Rows = Mapping[str, Mapping[str, Mapping[int, Mapping[str, float]]]]
LENGTHS, DURABILITIES, AT_ONCE = (10, 50, 200), ("async", "sync", "exit"), 64
MANY = 512  # conversations at once for ours alone
_USUAL = "async"  # LangGraph's default

# At the greatest length: figure, what it is called, the greatest ratio.
_RATIOS = (
    ("kb", "KB a conversation", 1 / 50),
    ("kb_sent", "KB sent a turn", 1 / 50),
    ("warm_cpu_ms", "CPU of a warm turn, client and server", 1 / 2.5),
    ("cold_cpu_ms", "CPU of a cold turn, client and server", 1.0),
    ("get_ms", "cold get, time", 1.0),
    ("get_client_ms", "cold get, client's CPU", 1.0),
    ("list_ms", "list(10), time", 1.0),
    ("list_client_ms", "list(10), client's CPU", 1.0),
)
_CROWD_RATIO = 0.85
_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class Bar:
    """One claim: `value` is at most `limit`. Behind a ratio are `ours` and `best`, the figure of `peer`."""

    name: str
    value: float
    limit: float
    ours: float = 0.0
    best: float = 0.0
    peer: str = ""

    @property
    def is_reached(self) -> bool:
        """Whether it holds."""
        return self.value <= self.limit

    def line(self) -> str:
        """For people."""
        against = f" ({self.ours:g} against {self.best:g} of {self.peer})" if self.peer else ""
        return (
            f"{'pass' if self.is_reached else 'FAIL'}  {self.name}: {self.value:.3g}, at most {self.limit:.3g}{against}"
        )

    def kept(self) -> dict[str, Any]:
        """For the file of results."""
        return {**asdict(self), "reached": self.is_reached}


def key(durability: str, at_once: int) -> str:
    """The name of a case among a saver's results."""
    return f"{durability}, {at_once} at once"


def bars(rows: Rows, lengths: tuple[int, ...], at_once: int) -> Iterator[Bar]:
    """The claims that the figures at hand say something about, judged at the greatest of *lengths*."""
    single, longest = key(_USUAL, 1), lengths[-1]
    for figure, name, limit in _RATIOS:
        yield from _ratio(rows, single, longest, figure, f"{name}, {longest} turns", limit)
    mine = rows.get(OURS.name, {}).get(single, {})
    if longest in mine:
        yield Bar(f"keys, {longest} turns", mine[longest]["keys"], 2)
        yield Bar("round trips a turn", mine[longest]["round_trips"], 10)
        yield from _growth(mine, lengths)
    on_exit = rows.get(OURS.name, {}).get(key("exit", 1), {})
    if longest in on_exit:
        yield Bar("round trips a turn with durability exit", on_exit[longest]["round_trips"], 2)
    for turns in lengths if at_once > 1 else ():
        name = f"client's CPU a turn, {at_once} conversations of {turns} turns"
        yield from _ratio(rows, key(_USUAL, at_once), turns, "client_ms", name, _CROWD_RATIO)


def _ratio(rows: Rows, case: str, turns: int, figure: str, name: str, limit: float) -> Iterator[Bar]:
    ours = rows.get(OURS.name, {}).get(case, {}).get(turns)
    theirs = {kind.name: rows.get(kind.name, {}).get(case, {}).get(turns) for kind in REDIS_PEERS}
    found = {peer: row[figure] for peer, row in theirs.items() if row and not row.get("failed")}
    if ours and found:
        peer = min(found, key=found.__getitem__)
        yield Bar(name, ours[figure] / found[peer], limit, ours[figure], found[peer], peer)


def _growth(mine: Mapping[int, Mapping[str, float]], lengths: tuple[int, ...]) -> Iterator[Bar]:
    """A turn's bytes at the end of the conversation by those at its beginning: about 1 if growth is linear."""
    if len(lengths) > 2:
        first, middle, last = (mine[turns]["kb"] for turns in (lengths[0], lengths[-2], lengths[-1]))
        early = (middle - first) / (lengths[-2] - lengths[0])
        late = (last - middle) / (lengths[-1] - lengths[-2])
        yield Bar("growth of a turn's bytes from the first turns to the last", late / early, _GROWTH)
