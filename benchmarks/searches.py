"""What a search costs this process: Qdrant's engine in it, against a Qdrant server.

    python -m benchmarks.searches

Claim: asking a server costs the client at most 2 CPU ms a search, one at a time or 32 at once. CPU of this process; the
server, which remembers its answers, is another. The second tenant has passages in three languages, each of which is
asked apart. Every search is looked at: it must give the wanted number of its own tenant's passages.
"""

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import uvloop

from auth.credentials import make_key_principal
from auth.principal import Principal
from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex
from retrieval.server import ServerIndex
from utils.passages import Passage
from utils.ports import FloatArray

DIMENSION, PASSAGES, QUESTIONS, WANTED = 384, 400, 20, 6
AT_ONCE = {1: 200, 32: 640}  # in flight: searches
LANGUAGES = {
    make_key_principal("one language", "k"): ("en",),
    make_key_principal("three languages", "k"): ("en", "es", "id"),
}
_WORDS = [
    f"{a}{b}{c}" for a in ("lib", "par", "ten", "mor") for b in ("ra", "ki", "so", "lu") for c in ("ry", "ng", "t")
]


def corpus(ctx: Principal) -> tuple[list[Passage], dict[str, FloatArray]]:
    """Passages of some 900 characters and their vectors by passage id."""
    chance = random.Random(ctx.tenant_id)
    passages = [
        Passage(
            passage_id=f"{number}",
            document_id=f"{ctx.tenant_id} {number % 20}",
            title="Student handbook",
            source="handbook.md",
            url=None,
            page=number,
            heading="Services › Opening hours",
            start=0,
            end=900,
            language=chance.choice(LANGUAGES[ctx]),
            text=" ".join(chance.choices(_WORDS, k=150)),
        )
        for number in range(PASSAGES)
    ]
    return passages, {each.passage_id: unit(number) for number, each in enumerate(passages)}


@cache
def unit(seed: int) -> FloatArray:
    """A vector of length 1."""
    drawn = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    vector: FloatArray = drawn / np.linalg.norm(drawn)
    return vector


async def measure(open_index: Callable[[], PassageIndex]) -> list[float]:
    """CPU ms a search: for each tenant, for each number in flight."""
    index, figures = open_index(), []
    for ctx in LANGUAGES:
        passages, vectors = corpus(ctx)
        await index.put(ctx, passages)
        await index.put_vectors(ctx, vectors)
        await search(index, ctx, QUESTIONS)
    for ctx in LANGUAGES:
        for at_once, searches in AT_ONCE.items():
            began_s, each = time.process_time(), searches // at_once
            await asyncio.gather(*(search(index, ctx, each) for _ in range(at_once)))
            figures.append((time.process_time() - began_s) * 1000 / (each * at_once))
    await index.close()
    return figures


async def search(index: PassageIndex, ctx: Principal, times: int) -> None:
    """Search one after the other, with one of 20 vectors and words that stand in some passages.

    Raises:
        RuntimeError: it was not answered as it should be.
    """
    for at in (number % QUESTIONS for number in range(times)):
        question = f"When does the {_WORDS[at]} {_WORDS[at + 20]} of building {at} open?"
        hits = await index.search(ctx, question, unit(PASSAGES + at), limit=WANTED)
        if len(hits) != WANTED or any(not hit.passage.document_id.startswith(ctx.tenant_id) for hit in hits):
            raise RuntimeError(f"{question!r}: {len(hits)} passages")


def main() -> int:
    """Measure all and print a table; 1 if a server costs more than claimed."""
    argv = [sys.executable, "-m", "tests.fakes.qdrant_server", "--remembers", "--api-key", "k"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryDirectory() as folder:
        assert server.stdout
        url = server.stdout.readline().strip()
        try:
            found: dict[str, Callable[[], PassageIndex]] = {
                "engine in this process": lambda: EdgeIndex.open(Path(folder) / "index", dimension=DIMENSION),
                "server": lambda: ServerIndex(url, api_key="k", collection="c", dimension=DIMENSION, model="m"),
            }
            cases = [f"{ctx.tenant_id}, {at_once} at once" for ctx in LANGUAGES for at_once in AT_ONCE]
            print("CPU ms a search".ljust(24), *cases, sep="  ")
            for name, open_index in found.items():
                figures = uvloop.run(measure(open_index))
                print(
                    name.ljust(24), *(f"{f:.2f}".rjust(len(c)) for f, c in zip(figures, cases, strict=True)), sep="  "
                )
        finally:
            with suppress(ProcessLookupError):
                server.terminate()
    return int(max(figures) > 2)


if __name__ == "__main__":
    raise SystemExit(main())
