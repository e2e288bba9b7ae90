"""Spoken questions by Prosa's protocol, over real WebSockets to a server that misbehaves when told to."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from tests.fakes import prosa_server as fake
from tests.fakes.prosa_server import Act, FakeProsaServer
from tests.fakes.speech_server import make_wav
from tests.service import Service, await_knowledge, one_document

ROOMS = "How much does a dormitory room cost?"
SPOKEN = make_wav(2)
SECRET = "the-key-of-prosa"


@pytest.fixture(scope="module")
def prosa() -> Iterator[FakeProsaServer]:
    with FakeProsaServer(SECRET) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, prosa: FakeProsaServer) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("prosa")
    variables = {
        "RATE_LIMIT_PER_HOUR": "100000",
        "PROSA_STT_API_KEY": SECRET,
        "PROSA_STT_URL": f"{prosa.url}/stt",
        "PROSA_TTS_API_KEY": SECRET,
        "PROSA_TTS_URL": f"{prosa.url}/tts",
        "STT_TIMEOUT": "3",
        "TTS_TIMEOUT": "3",
    }
    with Service(folder / "data", **one_document(folder), **variables).watched() as running:
        await_knowledge(running, ROOMS)
        yield running


@pytest.fixture
def client(service: Service, prosa: FakeProsaServer) -> Iterator[httpx.Client]:
    prosa.reset()
    with service.client() as opened:
        yield opened
    prosa.key = SECRET


def say(client: httpx.Client) -> httpx.Response:
    headers = {"X-Conversation-Id": uuid4().hex}
    return client.post("/v1/audio", files={"audio": ("x.wav", SPOKEN)}, headers=headers)


def test_prosa_transcribes_the_question_and_speaks_the_answer(client: httpx.Client, prosa: FakeProsaServer) -> None:
    answered = say(client)
    assert answered.status_code == 200, answered.text
    told = answered.json()
    assert told["transcript"] == ROOMS
    assert bytes.fromhex(told["audio"]) == prosa.sound, told["audio_note"]
    heard, said = prosa.sessions
    assert heard["sound"] == SPOKEN
    assert (heard["config"]["model"], heard["config"]["include_partial"]) == ("asr-general-online", False)
    assert "850,000" in said["text"]
    assert (said["config"]["audio_format"], said["config"]["sample_rate"]) == ("wav", 8000)


@pytest.mark.parametrize(
    ("act", "status", "words"),
    [
        (fake.cut, 502, "broke the connection off"),
        (fake.hang, 504, "STT_TIMEOUT"),
        (fake.send_noise, 502, "PROSA_STT_URL"),
        (fake.send_endless_text, 502, "PROSA_STT_URL"),
        (fake.close_with(4000), 502, "PROSA_STT_API_KEY"),
        (fake.close_with(4001), 502, "PROSA_STT_MODEL"),
        (fake.close_with(4002), 502, "PROSA_STT_MODEL"),
        (fake.close_with(4005), 502, "credit"),
        (fake.close_with(4029), 502, "limiting"),
        (fake.close_with(1000), 422, "No speech"),
        (fake.say_error("auth_invalid_api_key"), 502, "PROSA_STT_API_KEY"),
        (fake.say_error("asr_request_unsupported_media_type"), 422, "damaged"),
        (fake.say_error("internal_server_error"), 502, "reported an error"),
    ],
)
def test_failures_of_prosa_are_told_as_those_of_other_endpoints(
    client: httpx.Client, prosa: FakeProsaServer, act: Act, status: int, words: str
) -> None:
    prosa.act_stt = act
    refused = say(client)
    assert (refused.status_code, words in refused.json()["detail"]) == (status, True), refused.text
    assert "secret words" not in refused.text


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (fake.cut, "broke the connection off"),
        (fake.hang, "TTS_TIMEOUT"),
        (fake.send_noise, "PROSA_TTS_URL"),
        (fake.send_bytes, "PROSA_TTS_URL"),
        (fake.send_endless_sound, "more than is read"),
        (fake.close_with(4002), "PROSA_TTS_MODEL"),
    ],
)
def test_an_answer_comes_without_speech_where_prosa_fails(
    client: httpx.Client, prosa: FakeProsaServer, act: Act, words: str
) -> None:
    prosa.act_tts = act
    told = say(client).json()
    assert told["audio"] is None
    assert words in told["audio_note"]
    assert "850,000" in told["answer"]


def test_a_refused_key_is_named_by_its_variable_and_told_to_nobody(
    client: httpx.Client, service: Service, prosa: FakeProsaServer
) -> None:
    prosa.key = "another"
    refused = say(client)
    assert (refused.status_code, "PROSA_STT_API_KEY" in refused.json()["detail"]) == (502, True)
    assert SECRET not in refused.text + service.logged()
    assert prosa.sessions == []


def test_another_format_than_prosa_has_is_refused(client: httpx.Client, prosa: FakeProsaServer) -> None:
    body = {"model": "default", "voice": "tts-dini", "input": "Halo", "response_format": "mp3"}
    assert client.post("/v1/audio/speech", json=body).status_code >= 400
    assert prosa.sessions == []
    spoken = client.post("/v1/audio/speech", json=body | {"response_format": "wav"})
    assert spoken.content == prosa.sound
    assert prosa.sessions[0]["config"]["model"] == "tts-dini"
