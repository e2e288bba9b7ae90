"""Chat models of Anthropic and Google, over real HTTP: they answer, fail and are cut in the same terms as any other."""

import importlib
import json
from collections.abc import AsyncIterator, Iterator
from functools import reduce
from ipaddress import ip_network
from operator import add
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from pydantic import SecretStr

from providers.gate import Gate
from providers.openai_errors import EndpointInfo
from providers.retries import CallLimits
from tests.fakes.vendor_server import Vendor, serve_vendor
from tests.service import free_port
from utils.checkpointer.circuit import Circuit
from utils.errors import ProviderTimeout, ProviderUnavailable
from utils.outbound import Guard
from utils.reach import Reach
from utils.token_usage import measure_tokens

KEY, OPERATORS_KEY = "sk-key-of-the-tenant-0123", "sk-key-of-the-operator-9876"
QUESTION = [SystemMessage("Be brief."), HumanMessage("When does it open?")]
LOOPBACK = Reach((ip_network("127.0.0.0/8"),), ports=None)


@pytest.fixture(params=["anthropic", "google"])
def vendor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendor]:
    names = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY", "GEMINI_API_KEY", "OPENAI_API_KEY")
    for name in names:
        monkeypatch.setenv(name, OPERATORS_KEY)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with serve_vendor(request.param) as served:
        yield served


async def open_model(vendor: Vendor, base_url: str = "", reach: Reach = LOOPBACK, **said: Any) -> Any:
    options: dict[str, Any] = {
        "temperature": 0.3,
        "max_tokens": 200,
        "timeout_s": 5.0,
        "retries": 1,
        "key": KEY,
        **said,
    }
    # Imported here: their libraries take seconds of each process that tests something else.
    provider = importlib.import_module(f"providers.chat.{vendor.format}")
    return await provider.open_chat_model(
        base_url=base_url or vendor.base_url,
        api_key=SecretStr(options["key"]),
        model="the-model",
        temperature=options["temperature"],
        max_tokens=200,
        limits=CallLimits(timeout_s=options["timeout_s"], max_retries=options["retries"], backoff_s=0.01),
        gate=Gate(5, wait_s=5, name="model"),
        circuit=Circuit(retry_s=0, threshold=99, away="away", back="back"),
        side=EndpointInfo("model 'own'", "", "the-model", vendor.format.title()),
        guard=Guard.load(reach),
    )


@pytest.fixture
async def model(vendor: Vendor) -> AsyncIterator[Any]:
    opened = await open_model(vendor)
    yield opened
    await opened.aclose()


async def whole(model: BaseChatModel) -> AIMessage:
    return await model.ainvoke(QUESTION)


async def streamed(model: BaseChatModel) -> AIMessage:
    return reduce(add, [chunk async for chunk in model.astream(QUESTION)])


async def collect(model: BaseChatModel, tokens: list[str]) -> None:
    async for chunk in model.astream(QUESTION):
        tokens.append(chunk.text)


both_ways = pytest.mark.parametrize("ask", [whole, streamed])


@both_ways
async def test_it_answers_and_says_who_did_and_what_it_cost(vendor: Vendor, model: Any, ask: Any) -> None:
    usage = measure_tokens()
    said = await ask(model)
    assert said.text == "It opens at eight [1]."
    told = said.response_metadata
    assert (told["answered_by"], told["is_fallback"], told["finish_reason"]) == ("the-model", False, "stop")
    assert usage.tokens == 16
    sent = vendor.requests[-1]
    assert [value.removeprefix("Bearer ") for value in sent["headers"].values()].count(KEY) == 1
    assert OPERATORS_KEY not in json.dumps(vendor.requests)
    assert "Be brief." in json.dumps(sent["body"])


@both_ways
async def test_without_a_key_none_of_the_operators_is_sent(vendor: Vendor, ask: Any) -> None:
    bare = await open_model(vendor, key="none")
    assert (await ask(bare)).text
    assert OPERATORS_KEY not in json.dumps(vendor.requests)
    await bare.aclose()


@both_ways
@pytest.mark.parametrize(
    ("anthropics", "googles", "told"), [("max_tokens", "MAX_TOKENS", "length"), ("refusal", "SAFETY", "content_filter")]
)
async def test_why_an_answer_ended_is_said_in_the_same_words(
    vendor: Vendor, model: Any, ask: Any, anthropics: str, googles: str, told: str
) -> None:
    vendor.reason = {"anthropic": anthropics, "google": googles}[vendor.format]
    assert (await ask(model)).response_metadata["finish_reason"] == told


@both_ways
@pytest.mark.parametrize("vendor", ["google"], indirect=True)
async def test_a_question_that_a_filter_stops_has_an_answer_without_words(vendor: Vendor, model: Any, ask: Any) -> None:
    vendor.blocks = "PROHIBITED_CONTENT"
    answer = await ask(model)
    assert (answer.text, answer.response_metadata["finish_reason"]) == ("", "content_filter")
    assert len(vendor.requests) == 1


async def test_a_call_with_too_long_arguments_is_none(vendor: Vendor, model: Any) -> None:
    vendor.tool, vendor.city = "weather", "x" * 100_001
    [call] = (await model.ainvoke(QUESTION)).tool_calls
    assert (call["name"], call["args"]) == ("", {})


REFUSALS = {
    401: r"The endpoint of the model 'own' refused the API key \(401(, SOME_ERROR)?\): check api_key\.",
    403: r"refused the API key \(403(, SOME_ERROR)?\): check api_key",
    404: r"does not know the address or the model 'the-model' \(404(, SOME_ERROR)?\): check base_url and model",
    429: r"is limiting requests \(429(, SOME_ERROR)?\): try again later",
    500: r"failed \(500(, SOME_ERROR)?\): try again later",
    529: r"failed \(529(, SOME_ERROR)?\): try again later",
    400: r"refused the request \(400(, SOME_ERROR)?\): check model and its limits",
    307: r"redirects \(307(, SOME_ERROR)?\), and redirects are not followed: set base_url to the new address",
}


@both_ways
@pytest.mark.parametrize("status", list(REFUSALS))
async def test_a_refusal_is_told_in_our_terms(vendor: Vendor, model: Any, ask: Any, status: int) -> None:
    vendor.faults = [(status, f"No, {KEY}.")] * 2
    with pytest.raises(ProviderUnavailable, match=REFUSALS[status]) as caught:
        await ask(model)
    assert KEY not in str(caught.value)
    assert len(vendor.requests) == (2 if status in (429, 500, 529) else 1)


@both_ways
async def test_a_passing_failure_is_tried_again(vendor: Vendor, model: Any, ask: Any) -> None:
    vendor.faults = [(529, "Overloaded")]
    assert (await ask(model)).text == "It opens at eight [1]."


@both_ways
async def test_one_that_says_nothing_takes_too_long(vendor: Vendor, ask: Any) -> None:
    impatient = await open_model(vendor, timeout_s=0.3, retries=0)
    vendor.faults = ["hang"]
    with pytest.raises(ProviderTimeout, match="did not answer in time: check that it is well, or raise timeout_s"):
        await ask(impatient)
    await impatient.aclose()


@pytest.mark.parametrize(
    ("fault", "detail"),
    [("cut", "broke the connection off"), ("early", "broke the connection off"), ("error", "reported an error inside")],
)
async def test_a_stream_that_breaks_is_told_in_our_terms(vendor: Vendor, model: Any, fault: Any, detail: str) -> None:
    vendor.words = tuple(f"word {number} " for number in range(20))
    vendor.faults = [fault]
    tokens: list[str] = []
    with pytest.raises(ProviderUnavailable, match=detail):
        await collect(model, tokens)
    assert "word 1 " in "".join(tokens)


async def test_nobody_there_is_told(vendor: Vendor) -> None:
    nobody = await open_model(vendor, f"http://127.0.0.1:{free_port()}", retries=0)
    with pytest.raises(ProviderUnavailable, match="cannot be reached: check base_url"):
        await whole(nobody)
    await nobody.aclose()


@both_ways
async def test_a_private_address_is_not_connected_to(
    vendor: Vendor, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = await open_model(vendor, vendor.base_url.replace("127.0.0.1", "localhost"), Reach(ports=None))
    with pytest.raises(ProviderUnavailable, match=r"cannot be reached: check base_url\. One at a private"):
        await ask(guarded)
    assert [record.__dict__["cause"] for record in caplog.records if "failed" in record.message] == [
        "It leads to an address that is not on the public internet. MODEL_NETWORKS opens private ones."
    ]
    assert not vendor.requests
    await guarded.aclose()


@both_ways
async def test_what_is_refused_is_left_out_from_then_on(
    vendor: Vendor, model: Any, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert '"temperature": 0.3' in json.dumps((await ask(model)) and vendor.last)
    vendor.faults = [(400, "`temperature` is deprecated for this model.")]
    for _ in range(2):
        assert (await ask(model)).text == "It opens at eight [1]."
        assert "temperature" not in json.dumps(vendor.last)
    assert len(vendor.requests) == 4
    assert [record.message for record in caplog.records] == [
        "The model 'own' ('the-model') does not take temperature: it is asked without it from now on."
    ]


async def test_the_limit_of_tokens_is_sent(vendor: Vendor, model: Any) -> None:
    await whole(model)
    sent = vendor.last
    assert (sent.get("max_tokens") or sent.get("generationConfig", {}).get("maxOutputTokens")) == 200


async def test_it_calls_tools_natively_and_without_a_choice_where_that_is_refused(vendor: Vendor, model: Any) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    described = {"name": "weather", "description": "The weather of a city.", "parameters": parameters}
    vendor.tool = "weather"
    vendor.faults = [(400, "tool_choice: Extra inputs are not permitted")]
    bound = model.bind_tools([{"type": "function", "function": described}], tool_choice="any")
    for _ in range(2):
        [call] = (await bound.ainvoke(QUESTION)).tool_calls
        assert (call["name"], call["args"]) == ("weather", {"city": "Bandung"})
    assert "weather" in json.dumps(vendor.last)
    chosen = ["tool_choice" in request["body"] or "toolConfig" in request["body"] for request in vendor.requests]
    assert chosen == [True, False, False]
