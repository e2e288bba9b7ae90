"""The remote chat model against a real HTTP server that fails in all the ways model endpoints do."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import reduce
from itertools import chain
from operator import add
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from pydantic import SecretStr

from providers.chat.openai import RemoteChatModel, open_chat_model
from providers.openai_errors import retry_after_s
from providers.retries import CallLimits
from tests.examples import count_examples
from tests.fakes.model_server import FakeModelServer
from tests.service import free_port
from utils.errors import ProviderError, ProviderTimeout, ProviderUnavailable

KEY = "sk-very-secret-0123456789"
QUICK = CallLimits(timeout_s=5, gap_timeout_s=5, max_retries=2, backoff_s=0.01)
QUESTION = [SystemMessage("Be brief."), HumanMessage("When does the office open? mkaaaaaaaa")]

Ask = Callable[[RemoteChatModel], Awaitable[AIMessage]]


async def whole(model: RemoteChatModel) -> AIMessage:
    return await model.ainvoke(QUESTION)


async def streamed(model: RemoteChatModel) -> AIMessage:
    return reduce(add, [chunk async for chunk in model.astream(QUESTION)])


async def collect(model: RemoteChatModel, tokens: list[str]) -> None:
    async for chunk in model.astream(QUESTION):
        tokens.append(chunk.text)


both_ways = pytest.mark.parametrize("ask", [whole, streamed])


@asynccontextmanager
async def opened(base_url: str, limits: CallLimits = QUICK, **kwargs: Any) -> AsyncIterator[RemoteChatModel]:
    model = await open_chat_model(
        base_url=base_url, api_key=SecretStr(KEY), model="main", limits=limits, temperature=0.2, **kwargs
    )
    try:
        yield model
    finally:
        await model.aclose()


def calls(server: FakeModelServer) -> list[str]:
    """The models asked, in order."""
    return [request["body"]["model"] for request in server.requests()]


@both_ways
async def test_an_answer_says_who_gave_it_and_what_it_cost(server: FakeModelServer, ask: Ask) -> None:
    async with opened(server.base_url) as model:
        answer = await ask(model)
    assert answer.text == "echo n=2 s=1 u=1 a=0 h=e3b0c442 m=mkaaaaaaaa;"
    assert answer.response_metadata["answered_by"] == "main"
    assert answer.response_metadata["is_fallback"] is False
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] > 0


async def test_a_call_carries_the_key_the_model_and_the_temperature(server: FakeModelServer) -> None:
    async with opened(server.base_url) as model:
        await whole(model)
    [request] = server.requests()
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert (request["body"]["model"], request["body"]["temperature"]) == ("main", 0.2)


async def test_tokens_are_passed_on_as_they_come(server: FakeModelServer) -> None:
    server.configure(replies={"office": "The office opens at eight."}, gap_ms=60)
    async with opened(server.base_url) as model:
        texts = [chunk.text async for chunk in model.astream(QUESTION)]
    assert "".join(texts) == "The office opens at eight."
    assert len([text for text in texts if text]) >= 3, "they came 60 ms apart"


async def test_tokens_that_came_together_are_passed_on_together(server: FakeModelServer) -> None:
    server.configure(tokens=1000)
    async with opened(server.base_url) as model:
        texts = [chunk.text async for chunk in model.astream(QUESTION)]
    assert len("".join(texts).split()) >= 1000
    assert len(texts) < 50


async def test_tokens_that_come_fast_are_passed_on_several_at_a_time(server: FakeModelServer) -> None:
    server.configure(tokens=200, gap_ms=3)
    async with opened(server.base_url) as model:
        texts = [chunk.text async for chunk in model.astream(QUESTION) if chunk.text]
    assert len("".join(texts).split()) >= 200
    assert 3 < len(texts) < 100


async def test_the_first_token_waits_for_no_other(server: FakeModelServer) -> None:
    server.configure(tokens=200, faults=[{"kind": "stall", "after_tokens": 1}])
    async with opened(server.base_url) as model, aclosing(model.astream(QUESTION)) as chunks:
        assert (await anext(chunks)).text.endswith(";")


@both_ways
@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 500},
        {"kind": "status", "status": 503},
        {"kind": "drop"},
        {"kind": "truncate"},
    ],
    ids=lambda fault: str(fault.get("status", fault["kind"])),
)
async def test_a_passing_failure_is_tried_again(server: FakeModelServer, ask: Ask, fault: dict[str, Any]) -> None:
    server.configure(faults=[{**fault, "times": 2}])
    async with opened(server.base_url) as model:
        assert (await ask(model)).text.startswith("echo")
    assert len(calls(server)) == 3


@both_ways
@pytest.mark.parametrize("kind", ["end_early", "error_event"])
async def test_a_stream_that_fails_before_its_first_token_is_tried_again(
    server: FakeModelServer, ask: Ask, kind: str
) -> None:
    server.configure(faults=[{"kind": kind}])
    async with opened(server.base_url) as model:
        assert (await ask(model)).text.startswith("echo")
    assert len(calls(server)) == 2


async def test_retry_after_is_waited_for(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 429, "retry_after": "0.4"}])
    began = time.perf_counter()
    async with opened(server.base_url) as model:
        await whole(model)
    assert 0.4 <= time.perf_counter() - began < 2


async def test_a_retry_after_beyond_the_deadline_fails_at_once_and_is_passed_on(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 429, "retry_after": "30"}])
    began = time.perf_counter()
    async with opened(server.base_url) as model:
        with pytest.raises(ProviderUnavailable, match="limiting requests") as caught:
            await whole(model)
    assert time.perf_counter() - began < 2
    assert caught.value.headers == {"Retry-After": "31"}


@both_ways
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"status": 400, "code": "context_length_exceeded"}, r"refused the request \(400, context_length_exceeded\)"),
        ({"status": 401}, r"refused the API key \(401\): check LLM_API_KEY"),
        ({"status": 403}, r"refused the API key \(403\)"),
        ({"status": 402}, "credit is used up"),
        ({"status": 302, "location": "/v1/chat/completions"}, r"redirects \(302\)"),
        ({"status": 307, "location": "/v1/chat/completions"}, "not followed: set LLM_BASE_URL to the new address"),
        ({"status": 404}, r"does not know the address or the model 'main' \(404\): check LLM_BASE_URL and LLM_MODEL"),
        ({"status": 429, "code": "insufficient_quota"}, "credit is used up"),
    ],
    ids=lambda value: str(value.get("code") or value["status"]) if isinstance(value, dict) else "",
)
async def test_a_refusal_is_not_tried_again(
    server: FakeModelServer, ask: Ask, fault: dict[str, Any], says: str
) -> None:
    server.configure(faults=[{"kind": "status", "times": -1, **fault}])
    async with opened(server.base_url) as model:
        with pytest.raises(ProviderUnavailable, match=says) as caught:
            await ask(model)
    assert len(calls(server)) == 1
    assert KEY not in caught.value.detail


@both_ways
async def test_an_endpoint_that_hangs_is_a_timeout_within_the_limit(server: FakeModelServer, ask: Ask) -> None:
    server.configure(faults=[{"kind": "hang", "times": -1}])
    began = time.perf_counter()
    async with opened(server.base_url, CallLimits(timeout_s=0.4, backoff_s=0.01)) as model:
        with pytest.raises(ProviderTimeout, match="raise LLM_TIMEOUT"):
            await ask(model)
    assert 0.4 <= time.perf_counter() - began < 2
    assert len(calls(server)) == 1


async def test_retries_do_not_outlive_the_deadline(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 503, "times": -1}])
    began = time.perf_counter()
    async with opened(server.base_url, CallLimits(timeout_s=0.5, backoff_s=0.2, max_retries=50)) as model:
        with pytest.raises(ProviderUnavailable, match=r"failed \(503\)"):
            await whole(model)
    assert time.perf_counter() - began < 2
    assert 2 <= len(calls(server)) <= 4


async def test_a_last_try_that_the_deadline_ends_does_not_hide_why_the_first_failed(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 503, "times": 1}, {"kind": "hang", "times": -1}])
    async with opened(server.base_url, CallLimits(timeout_s=0.5, backoff_s=0.01, max_retries=5)) as model:
        with pytest.raises(ProviderUnavailable, match=r"failed \(503\)"):
            await whole(model)
    assert len(calls(server)) == 2


@both_ways
@pytest.mark.parametrize("kind", ["status", "drop", "hang", "malformed", "empty"])
async def test_the_fallback_answers_when_the_main_model_keeps_failing(
    server: FakeModelServer, ask: Ask, kind: str
) -> None:
    server.configure(faults=[{"kind": kind, "model": "main", "times": -1}])
    limits = CallLimits(timeout_s=1, max_retries=1, backoff_s=0.01)
    async with opened(server.base_url, limits, fallback_model="spare") as model:
        answer = await ask(model)
    assert answer.text.startswith("echo")
    assert answer.response_metadata["answered_by"] == "spare"
    assert answer.response_metadata["is_fallback"] is True
    assert calls(server) == (["main", "main", "spare"] if kind in ("status", "drop", "empty") else ["main", "spare"])


async def test_a_refused_key_is_not_hidden_by_the_fallback(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 401, "model": "main", "times": -1}])
    async with opened(server.base_url, fallback_model="spare") as model:
        with pytest.raises(ProviderUnavailable, match="LLM_API_KEY"):
            await whole(model)
    assert calls(server) == ["main"]


async def test_when_both_models_fail_both_reasons_are_told(server: FakeModelServer) -> None:
    server.configure(
        faults=[{"kind": "hang", "model": "main"}, {"kind": "status", "status": 404, "model": "spare", "times": -1}]
    )
    async with opened(server.base_url, CallLimits(timeout_s=0.3), fallback_model="spare") as model:
        with pytest.raises(ProviderTimeout, match=r"in time.*fallback model failed too.*'spare' \(404\)"):
            await whole(model)


@pytest.mark.parametrize(
    ("kind", "problem", "says"),
    [
        ("truncate", ProviderUnavailable, "broke the connection off"),
        ("end_early", ProviderUnavailable, "broke the connection off"),
        ("error_event", ProviderUnavailable, "reported an error inside its answer"),
        ("malformed", ProviderUnavailable, "does not speak the OpenAI format"),
        ("stall", ProviderTimeout, "did not answer in time"),
    ],
)
async def test_an_answer_that_breaks_off_is_an_error_after_its_tokens(
    server: FakeModelServer, kind: str, problem: type[ProviderError], says: str
) -> None:
    server.configure(replies={"office": "The office opens at eight."}, faults=[{"kind": kind, "after_tokens": 3}])
    tokens: list[str] = []
    limits = CallLimits(timeout_s=5, gap_timeout_s=0.3, backoff_s=0.01)
    async with opened(server.base_url, limits, fallback_model="spare") as model:
        with pytest.raises(problem, match=says):
            await collect(model, tokens)
    assert "".join(tokens) == "The office opens"
    assert calls(server) == ["main"], "what was passed on must not be said again"


async def test_a_stream_that_drips_for_ever_ends_at_the_total_limit(server: FakeModelServer) -> None:
    server.configure(tokens=10_000, gap_ms=20)
    async with opened(server.base_url, CallLimits(total_timeout_s=0.5)) as model:
        with pytest.raises(ProviderTimeout):
            await streamed(model)


@both_ways
async def test_an_address_where_nothing_listens_is_named_as_such(ask: Ask) -> None:
    port = free_port()
    began = time.perf_counter()
    async with opened(f"http://127.0.0.1:{port}/v1") as model:
        with pytest.raises(ProviderUnavailable, match="cannot be reached: check LLM_BASE_URL"):
            await ask(model)
    assert time.perf_counter() - began < 3


async def test_an_address_without_the_v1_is_named_as_such(server: FakeModelServer) -> None:
    async with opened(server.base_url.removesuffix("/v1")) as model:
        with pytest.raises(ProviderUnavailable, match="check LLM_BASE_URL"):
            await whole(model)


async def test_an_answer_that_was_whole_when_its_connection_broke_counts() -> None:
    def chunk(said: str) -> bytes:
        data = f"data: {said}\n\n".encode()
        return b"%x\r\n%b\r\n" % (len(data), data)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head + chunk('{"choices": [{"index": 0, "delta": {"content": "The office"}}]}'))
        await asyncio.sleep(0.02)  # the model speaks
        rest = '{"choices": [{"index": 0, "delta": {"content": " opens."}, "finish_reason": "stop"}]}'
        writer.write(chunk(rest) + chunk("[DONE]"))  # and no end
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as endpoint:
        port = endpoint.sockets[0].getsockname()[1]
        async with opened(f"http://127.0.0.1:{port}/v1") as model:
            assert "".join([chunk.text async for chunk in model.astream(QUESTION)]) == "The office opens."


async def test_leaving_a_stream_stops_the_model(server: FakeModelServer) -> None:
    server.configure(tokens=10_000, gap_ms=10)
    async with opened(server.base_url) as model:
        async with aclosing(cast(AsyncGenerator[AIMessageChunk, None], model.astream(QUESTION))) as stream:
            await anext(stream)
        async with asyncio.timeout(5):
            while not server.counters()["abandoned"]:
                await asyncio.sleep(0.01)


async def test_many_calls_at_once_wait_for_no_other(server: FakeModelServer) -> None:
    server.configure(first_token_ms=500)
    questions = [[HumanMessage(f"Question mk{number:08d}")] for number in range(200)]
    async with opened(server.base_url) as model:
        began = time.perf_counter()
        answers = await asyncio.gather(*(model.ainvoke(question) for question in questions))
        took_s = time.perf_counter() - began
    assert [f"m={question[0].text.split()[1]};" for question in questions] == [a.text.split()[-1] for a in answers]
    assert took_s < 5, "one after the other they take 100 s, ten at a time 10 s"


def test_two_event_loops_in_one_process_have_their_own_connections(server: FakeModelServer) -> None:
    texts: list[str] = []

    async def ask_twice() -> None:
        async with opened(server.base_url) as model:
            texts.extend([(await whole(model)).text, (await streamed(model)).text])

    asyncio.run(ask_twice())
    threads = [threading.Thread(target=lambda: asyncio.run(ask_twice())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(texts) == 6
    assert len(set(texts)) == 1


async def test_the_key_stays_out_of_logs_and_representations(
    server: FakeModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.configure(faults=[{"kind": "status", "status": 503, "times": 4}])
    async with opened(server.base_url, fallback_model="spare") as model:
        await whole(model)
        shown = repr(model)
    logged = [str(vars(record)) for record in caplog.records if record.name.startswith("providers")]
    assert len(logged) == 4, "two retries, the change to the fallback, its retry"
    assert KEY not in "".join([shown, caplog.text, *logged])


async def fail(model: RemoteChatModel, ask: Ask = whole) -> None:
    with pytest.raises(ProviderUnavailable):
        await ask(model)


@both_ways
async def test_an_endpoint_that_fails_three_times_in_a_row_is_left_alone_until_it_is_time(
    server: FakeModelServer, caplog: pytest.LogCaptureFixture, ask: Ask
) -> None:
    limits = CallLimits(timeout_s=5, max_retries=0)
    async with opened(server.base_url, limits, retry_after_s=0.5) as model:
        server.configure(faults=[{"kind": "status", "status": 503, "times": 2}])
        await fail(model, ask)
        await fail(model, ask)
        assert (await ask(model)).text, "two are no outage"
        server.configure(faults=[{"kind": "status", "status": 503, "times": 4}])
        for _ in range(5):
            await fail(model, ask)
        assert len(calls(server)) == 6
        assert model.circuit.is_open
        async with asyncio.timeout(10):
            while model.circuit.is_open:
                with suppress(ProviderUnavailable):
                    await ask(model)
                await asyncio.sleep(0.01)
    assert len(calls(server)) == 8, "one try failed, the next did not"
    told = [record.levelname for record in caplog.records if record.name.endswith("circuit")]
    assert told == ["ERROR", "WARNING"]


async def test_a_refused_key_is_not_tried_again_at_once(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 401, "times": -1}])
    async with opened(server.base_url, retry_after_s=60) as model:
        for _ in range(3):
            await fail(model)
    assert len(calls(server)) == 1


async def test_questions_that_the_endpoint_refuses_do_not_keep_others_from_it(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 400, "times": 5}])
    async with opened(server.base_url, retry_after_s=60) as model:
        for _ in range(5):
            await fail(model)
        assert (await whole(model)).text


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403, "message": "Your input was flagged by moderation."},
        {"kind": "status", "status": 429, "message": "Request too large for main on tokens per min (TPM)."},
        {"kind": "status", "status": 500, "message": "the request exceeds the available context size"},
        {"kind": "status", "status": 400, "code": "content_filter"},
        {"kind": "empty"},
    ],
)
async def test_a_question_that_is_too_long_or_stopped_by_a_filter_does_not_keep_others_from_the_endpoint(
    server: FakeModelServer, fault: dict[str, Any]
) -> None:
    server.configure(faults=[{**fault, "times": 4}])
    async with opened(server.base_url, CallLimits(max_retries=0), retry_after_s=60) as model:
        for _ in range(4):
            await fail(model)
        assert (await whole(model)).text


async def test_an_answer_that_is_too_large_does_not_keep_others_from_the_endpoint(server: FakeModelServer) -> None:
    server.configure(replies={"office": "," * 100_001})
    async with opened(server.base_url, retry_after_s=60) as model:
        for _ in range(4):
            await fail(model)
        server.reset()
        assert (await whole(model)).text


async def test_an_answer_without_end_does_not_keep_others_from_the_endpoint(server: FakeModelServer) -> None:
    server.configure(tokens=10_000, gap_ms=20)
    async with opened(server.base_url, CallLimits(total_timeout_s=0.2), retry_after_s=60) as model:
        for _ in range(4):
            with pytest.raises(ProviderTimeout):
                await streamed(model)
        server.reset()
        assert (await whole(model)).text


async def test_streams_that_always_break_off_count_as_failures(server: FakeModelServer) -> None:
    server.configure(tokens=20, faults=[{"kind": "truncate", "after_tokens": 3, "times": -1}])
    async with opened(server.base_url, retry_after_s=60) as model:
        for _ in range(5):
            await fail(model, streamed)
    assert len(calls(server)) == 3


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("", None), (None, None), ("nan", None), ("inf", None)],
)
def test_retry_after_is_read_as_a_number(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    assert retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) == pytest.approx(
        60, abs=2
    )
    assert retry_after_s("Sun, 06 Nov 1994 08:49:37 GMT") == 0.0


def expected_calls(main: list[str], spare: list[str], retries: int) -> tuple[list[str], bool]:
    """The models asked and whether there is an answer, told slowly and plainly."""
    asked: list[str] = []
    for name, faults in (("main", main), ("spare", spare)):
        for fault in [*faults, "none", "none", "none", "none"][: retries + 1]:
            asked.append(name)
            if fault == "none":
                return asked, True
            if fault == "refusal":
                break
    return asked, False


KINDS: dict[str, dict[str, object]] = {
    "busy": {"kind": "status", "status": 503},
    "drop": {"kind": "drop"},
    "refusal": {"kind": "status", "status": 400},
}
fault_lists = st.lists(st.sampled_from(sorted(KINDS)), max_size=4)


@settings(max_examples=count_examples(30))
@given(main=fault_lists, spare=fault_lists, retries=st.integers(0, 3), ask=st.sampled_from([whole, streamed]))
def test_any_row_of_failures_leads_to_the_calls_it_should(
    running: FakeModelServer, main: list[str], spare: list[str], retries: int, ask: Ask
) -> None:
    running.reset()
    rows = chain(((kind, "main") for kind in main), ((kind, "spare") for kind in spare))
    running.configure(faults=[{**KINDS[kind], "model": model} for kind, model in rows])

    async def attempt() -> bool:
        limits = CallLimits(timeout_s=5, max_retries=retries, backoff_s=0.001)
        async with opened(running.base_url, limits, fallback_model="spare") as model:
            try:
                return isinstance(await ask(model), AIMessage | AIMessageChunk)
            except ProviderUnavailable:
                return False

    answered = asyncio.run(attempt())
    assert (calls(running), answered) == expected_calls(main, spare, retries)


@both_ways
@pytest.mark.parametrize(
    ("parameter", "code", "message", "sent_instead"),
    [
        (
            "temperature",
            "unsupported_value",
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "",
        ),
        ("temperature", "", 'Unknown name "temperature": Cannot find field.', ""),
        (
            "max_completion_tokens",
            "unsupported_parameter",
            "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens' instead.",
            "max_tokens",
        ),
        ("tool_choice", "", "[{'loc': ['body', 'tool_choice'], 'msg': 'Extra inputs are not permitted'}]", ""),
    ],
)
async def test_what_an_endpoint_does_not_take_is_left_out_from_then_on(
    server: FakeModelServer,
    caplog: pytest.LogCaptureFixture,
    ask: Ask,
    parameter: str,
    code: str,
    message: str,
    sent_instead: str,
) -> None:
    fault = {"kind": "status", "status": 400, "code": code, "message": message}
    server.configure(faults=[fault])
    async with opened(server.base_url, max_tokens=90) as model:
        asked = cast(RemoteChatModel, model.bind(tool_choice="auto"))
        for _ in range(2):
            assert (await ask(asked)).text
    refused, *later = [request["body"] for request in server.requests()]
    assert parameter in refused
    assert len(later) == 2
    assert all(parameter not in body and (not sent_instead or body[sent_instead] == 90) for body in later)
    assert [record.message for record in caplog.records] == [
        f"The chat model ('main') does not take {parameter}: it is asked without it from now on."
    ]


async def test_a_stream_is_asked_without_its_options_where_they_are_refused(server: FakeModelServer) -> None:
    message = "Unrecognized request argument supplied: stream_options"
    server.configure(faults=[{"kind": "status", "status": 400, "message": message}])
    async with opened(server.base_url) as model:
        assert (await streamed(model)).text
    assert ["stream_options" in request["body"] for request in server.requests()] == [True, False]


@pytest.mark.parametrize(
    "message",
    [
        "'max_completion_tokens' is too large: 90. This model's maximum context length is 80 tokens.",
        "temperature must be less than or equal to 0.1",
        "The model does not exist.",
        "Unsupported parameter: 'logit_bias'.",
    ],
)
async def test_any_other_refusal_is_one(server: FakeModelServer, message: str) -> None:
    server.configure(faults=[{"kind": "status", "status": 400, "message": message}])
    async with opened(server.base_url, max_tokens=90) as model:
        with pytest.raises(ProviderUnavailable, match=r"refused the request \(400\)"):
            await whole(model)
    assert len(server.requests()) == 1


async def test_one_that_refuses_again_what_is_left_out_is_not_asked_for_ever(server: FakeModelServer) -> None:
    server.configure(faults=[{"kind": "status", "status": 400, "message": "Unsupported: temperature", "times": -1}])
    async with opened(server.base_url) as model:
        with pytest.raises(ProviderUnavailable, match=r"refused the request \(400\)"):
            await whole(model)
    assert len(server.requests()) == 2
