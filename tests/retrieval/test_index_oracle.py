"""Any sequence of writes to an adapter of `PassageIndex` leaves what it leaves in a plain dictionary."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth.principal import Principal
from retrieval.index import IndexCounts, PassageIndex
from tests.examples import count_examples
from tests.retrieval.conftest import ADAPTERS
from tests.retrieval.corpus import ACME, GLOBEX, passage, vector
from utils.passages import Passage
from utils.ports import FloatArray

pytestmark = pytest.mark.long

WORDS = ("amber", "basalt", "copper", "dune", "ember")
TENANTS = (ACME, GLOBEX)
# Few passages and documents, so that steps meet.
PASSAGES = [
    passage(" ".join(words), document_id=f"document {number % 3}")
    for number, words in enumerate([WORDS[:1], WORDS[:2], WORDS[1:3], WORDS[2:4], WORDS[3:], WORDS])
]

some_passages = st.lists(st.sampled_from(PASSAGES), max_size=4, unique=True)
vectors = st.lists(st.integers(-4, 4), min_size=4, max_size=4).filter(any).map(lambda numbers: vector(*numbers))
steps = st.one_of(
    st.tuples(st.just("put"), some_passages),
    st.tuples(st.just("vectors"), some_passages, vectors),
    st.tuples(st.just("delete"), st.lists(st.sampled_from(["document 0", "document 1", "no such"]), max_size=2)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("search"), st.lists(st.sampled_from([*WORDS, "zircon"]), max_size=3), st.none() | vectors),
)
Step = tuple[Principal, tuple[object, ...]]


@dataclass
class Oracle:
    """One tenant's passages as they should be."""

    passages: dict[str, Passage] = field(default_factory=dict)
    vectors: dict[str, FloatArray] = field(default_factory=dict)

    def put(self, passages: list[Passage]) -> None:
        for each in passages:
            self.passages[each.passage_id] = each
            self.vectors.pop(each.passage_id, None)

    def give(self, vectors: dict[str, FloatArray]) -> None:
        self.vectors |= {key: value for key, value in vectors.items() if key in self.passages}

    def delete(self, documents: list[str]) -> None:
        for key in [key for key, each in self.passages.items() if each.document_id in documents]:
            del self.passages[key]
            self.vectors.pop(key, None)

    def found(self, words: list[str], query: FloatArray | None) -> dict[str, tuple[bool, float | None]]:
        """What a search without a limit finds: whether there is a common word, and the cosine."""
        common = {key: bool(set(words) & set(each.text.split())) for key, each in self.passages.items()}
        cosine = {} if query is None else {key: float(value @ query) for key, value in self.vectors.items()}
        return {key: (common[key], cosine.get(key)) for key in self.passages if common[key] or key in cosine}


@pytest.mark.parametrize("adapter", ADAPTERS)
@settings(max_examples=count_examples(12))
@given(st.lists(st.tuples(st.sampled_from(TENANTS), steps), min_size=5, max_size=25))
def test_any_sequence_of_writes_leaves_what_it_leaves_in_a_dictionary(adapter: str, sequence: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(replay(adapter, Path(folder), sequence))


async def replay(adapter: str, folder: Path, sequence: list[Step]) -> None:
    index, oracles = ADAPTERS[adapter](folder), {tenant.tenant_id: Oracle() for tenant in TENANTS}
    for tenant, (kind, *arguments) in sequence:
        if kind == "reopen":
            await index.close()
            index = ADAPTERS[adapter](folder)
        else:
            await apply(index, oracles[tenant.tenant_id], tenant, kind, arguments)
        for each in TENANTS:
            held = oracles[each.tenant_id]
            expected = IndexCounts(len(held.passages), len(held.passages) - len(held.vectors))
            assert await index.counts(each) == expected
    await index.close()


async def apply(index: PassageIndex, oracle: Oracle, ctx: Principal, kind: object, arguments: list[object]) -> None:
    match kind, arguments:
        case "put", [list(passages)]:
            await index.put(ctx, passages)
            oracle.put(passages)
        case "vectors", [list(passages), np.ndarray() as value]:
            given_now = {each.passage_id: value for each in passages}
            await index.put_vectors(ctx, given_now)
            oracle.give(given_now)
        case "delete", [list(documents)]:
            await index.delete_documents(ctx, documents)
            oracle.delete(documents)
        case "search", [list(words), (None | np.ndarray()) as query]:
            hits = await index.search(ctx, " ".join(words), query, limit=100)
            assert {hit.passage.passage_id: hit.passage for hit in hits}.items() <= oracle.passages.items()
            found = {hit.passage.passage_id: (hit.lexical > 0, hit.dense) for hit in hits}
            expected = oracle.found(words, query)
            assert found.keys() == expected.keys()
            for key, (common, cosine) in expected.items():
                assert found[key] == (common, None if cosine is None else pytest.approx(cosine, abs=1e-5))
        case _:
            raise AssertionError(f"no such step: {kind}")
