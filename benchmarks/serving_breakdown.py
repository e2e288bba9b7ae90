"""Whose work the sampled CPU of a service was: by part of the service, and by function.

A sample belongs to the innermost frame of its stack that has an owner; frames of libraries that several parts use (such
as asyncio, pydantic, json) have none and count for whoever called them. Where nobody did, because the event loop handed
bytes straight to a library, the library says it: redis is the checkpointer's, aiohttp the model client's.

    python -m benchmarks.serving_breakdown STACKS.json [CPU_MS_PER_TURN]
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_ROOT = f"{Path(__file__).resolve().parent.parent}/"
Frame = Sequence[str]  # file, function
Stack = tuple[int, Sequence[Frame]]  # how often it was seen; innermost frame first

# The first that the path of a file begins with; ours relative to the project, libraries' to site-packages.
_OWNERS = (
    ("utils/checkpointer/", "checkpointer"),
    ("agents/leases", "leases"),
    ("agents/runs/", "runs"),
    ("agents/turn_limiter", "turn limiter"),
    ("api/runs", "runs"),
    ("server/admission", "admission"),
    ("retrieval/", "retrieval"),
    ("providers/embeddings/", "embedding client"),
    ("langchain_openai/embeddings/", "embedding client"),
    ("qdrant_client/", "retrieval"),
    ("utils/language", "retrieval"),
    ("providers/chat/", "model client"),
    ("langchain_openai/chat_models/", "model client"),
    ("langchain_core/language_models/", "model client"),
    ("api/limits", "limiter"),
    ("limits/", "limiter"),
    ("api/auth", "keys"),
    ("domain/", "keys"),
    ("api/middleware", "logs and headers"),
    ("utils/logging_config", "logs and headers"),
    ("logging/", "logs and headers"),
    ("api/sse", "events"),
    ("bootstrap/", "monitor"),
    ("prometheus_client/", "metrics"),
    ("utils/telemetry/", "metrics"),
    ("api/metering", "metrics"),
    ("prompts/", "nodes"),
    ("agents/", "nodes"),
    ("langgraph/", "graph"),
    ("langchain_core/", "graph"),
    ("api/", "bridge"),
    ("server/", "bridge"),
    ("indexing/", "monitor"),
    ("flask/", "bridge"),
    ("flask_openapi3/", "bridge"),
    ("werkzeug/", "bridge"),
    ("uvicorn/", "bridge"),
)
_OTHERWISE = (
    ("redis/", "checkpointer"),
    ("providers/", "model client"),
    ("openai/", "model client"),
    ("aiohttp/", "model client"),
    ("httpx", "retrieval"),
    ("uvloop/", "event loop"),
    ("asyncio/", "event loop"),
)


def place(file: str) -> str:
    """The path of a file without where it is installed."""
    for mark in ("site-packages/", _ROOT, "lib/python3.11/", "lib/python3.12/", "lib/python3.13/"):
        _, found, after = file.rpartition(mark)
        if found:
            return after
    return file


def owner(frames: Sequence[Frame]) -> str:
    """The part of the service a stack belongs to."""
    places = [place(file) for file, _ in frames]
    for rules in (_OWNERS, _OTHERWISE):
        for at in places:
            for prefix, part in rules:
                if at.startswith(prefix):
                    return part
    return "event loop"


def by_part(stacks: Sequence[Stack]) -> dict[str, float]:
    """The share of each part, most first; together 1."""
    seen: Counter[str] = Counter()
    for count, frames in stacks:
        seen[owner(frames)] += count
    total = seen.total() or 1
    return {part: count / total for part, count in seen.most_common()}


def by_function(stacks: Sequence[Stack]) -> list[tuple[str, float, float]]:
    """Functions with the share spent in them alone, and in them with all they call; most by the latter first."""
    alone: Counter[str] = Counter()
    together: Counter[str] = Counter()
    for count, frames in stacks:
        names = [f"{place(file)}:{function}" for file, function in frames]
        alone[names[0]] += count
        for name in set(names):
            together[name] += count
    total = sum(count for count, _ in stacks) or 1
    return [(name, alone[name] / total, count / total) for name, count in together.most_common()]


def load_stacks(path: Path) -> list[Stack]:
    """What `benchmarks.serving_sampler` wrote."""
    return [(count, frames) for count, frames in json.loads(path.read_text())]


def main() -> None:
    """Print both tables; in milliseconds a turn if it is said how many there are."""
    stacks, scale = load_stacks(Path(sys.argv[1])), float(sys.argv[2]) if len(sys.argv) > 2 else 100.0
    print(f"{sum(count for count, _ in stacks)} samples; {'ms a turn' if len(sys.argv) > 2 else '%'}")
    for part, share in by_part(stacks).items():
        print(f"{share * scale:8.2f}  {part}")
    functions = by_function(stacks)
    print("   alone    with callees")
    for name, alone, together in functions[:60]:
        print(f"{alone * scale:8.2f} {together * scale:8.2f}  {name}")
    print("   alone")
    for name, alone, _ in sorted(functions, key=lambda line: -line[1])[:40]:
        print(f"{alone * scale:8.2f}  {name}")


if __name__ == "__main__":
    main()
