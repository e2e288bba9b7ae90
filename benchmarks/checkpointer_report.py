"""The results of the checkpointer benchmark as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# A heading and the figures under it, joined by " + ".
_SINGLE = (
    ("KB", ("kb",)),
    ("keys or rows", ("keys",)),
    ("round trips a turn", ("round_trips",)),
    ("KB sent + received a turn", ("kb_sent", "kb_received")),
    ("CPU ms of a warm turn, client + server", ("warm_client_ms", "warm_server_ms")),
    ("CPU ms of a cold turn", ("cold_client_ms", "cold_server_ms")),
    ("cold get: ms", ("get_ms",)),
    ("its CPU ms", ("get_client_ms", "get_server_ms")),
    ("list(10): ms", ("list_ms",)),
    ("its CPU ms", ("list_client_ms", "list_server_ms")),
)
_CROWD = (
    ("CPU ms a turn, client + server", ("client_ms", "server_ms")),
    ("turns a second", ("turns_per_s",)),
    ("failed", ("failed",)),
)


def report(kept: Mapping[str, Any], lines: Sequence[str]) -> str:
    """The file's text: what it ran on, the bars, a table for each case and length."""
    return "\n".join(_parts(kept, lines)) + "\n"


def _parts(kept: Mapping[str, Any], lines: Sequence[str]) -> Iterator[str]:
    machine = kept["machine"]
    yield f"# Conversation state, {kept['measured_at'][:10]}\n"
    yield (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}, load before {machine['load_before']}; written by `benchmarks/checkpointer.py`, "
        "which says what the figures are.\n"
    )
    for name, version in kept["versions"].items():
        store = next(iter(kept["savers"][name].values()))["store"]
        yield f"- {name}: {version or 'this repository'}, on {store}"
    for name, why in kept["not_run"].items():
        yield f"- {name}: not run: {why}"
    yield "\n```"
    yield from lines
    yield "```"
    for case in dict.fromkeys(case for cases in kept["savers"].values() for case in cases):
        yield from _case(case, {name: cases[case] for name, cases in kept["savers"].items() if case in cases})


def _case(case: str, savers: Mapping[str, Any]) -> Iterator[str]:
    columns = _SINGLE if case.endswith(", 1 at once") else _CROWD
    for turns in dict.fromkeys(turns for one in savers.values() for turns in one["rows"]):
        yield f"\n## {case}, {turns} turns\n"
        yield "| | " + " | ".join(heading for heading, _ in columns) + " |"
        yield "|---|" + "---:|" * len(columns)
        for name, one in savers.items():
            row = one["rows"].get(turns)
            if row:
                cells = (" + ".join(f"{row[figure]:,g}" for figure in figures) for _, figures in columns)
                yield f"| {name} | " + " | ".join(cells) + " |"
    for name, one in savers.items():
        if one["failed"]:
            yield f"\n{name} failed {len(one['failed'])} times, first: `{one['failed'][0]}`"
