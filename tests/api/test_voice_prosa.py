"""Spoken questions by Prosa's protocol, over real WebSockets to a server that misbehaves when told to."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import trustme

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


@pytest.fixture(scope="module")
def acme(service: Service) -> Iterator[httpx.Client]:
    with service.client(service.new_key("acme")) as opened:
        yield opened


@pytest.fixture
def client(service: Service, prosa: FakeProsaServer) -> Iterator[httpx.Client]:
    prosa.reset()
    with service.client() as opened:
        yield opened
    prosa.key = SECRET


def say(client: httpx.Client, talk: str = "") -> httpx.Response:
    headers = {"X-Conversation-Id": talk or uuid4().hex}
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


def test_two_tenants_ask_at_once_and_each_is_answered_from_its_own_documents(
    client: httpx.Client, acme: httpx.Client, prosa: FakeProsaServer
) -> None:
    talk = uuid4().hex
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda who: say(who, talk).json(), (client, acme))
    assert (ours["answered"], theirs["answered"]) == (True, False)
    spoken = [session["text"] for session in prosa.sessions if session["path"] == "tts"]
    assert sorted("850,000" in text for text in spoken) == [False, True]
    assert ("850,000" in ours["answer"], "850,000" in theirs["answer"]) == (True, False)
    for who in (client, acme):
        assert len(who.get(f"/v1/conversations/{talk}").json()["messages"]) == 2


def test_a_certificate_of_an_authority_that_is_not_trusted_is_refused_before_the_key_is_sent(tmp_path: Path) -> None:
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(tmp_path / "trusted.pem")
    with FakeProsaServer(SECRET, certify(trusted)) as heard, FakeProsaServer(SECRET, certify(other)) as said:
        variables = {
            "PROSA_STT_API_KEY": SECRET,
            "PROSA_STT_URL": f"{heard.url}/stt",
            "PROSA_TTS_API_KEY": SECRET,
            "PROSA_TTS_URL": f"{said.url}/tts",
            "SSL_CERT_FILE": str(tmp_path / "trusted.pem"),
        }
        service = Service(tmp_path / "data", **one_document(tmp_path), **variables)
        with service.watched(), service.client() as client:
            told = say(client).json()
    assert (told["transcript"], told["audio"]) == (ROOMS, None)
    assert "PROSA_TTS_URL" in told["audio_note"]
    assert (len(heard.sessions), said.sessions) == (1, [])


def certify(authority: trustme.CA) -> ssl.SSLContext:
    """What shows a certificate of *authority* for this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


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
    prosa.act_tts = fake.close_with(4002)
    for voice, status in (("tts-nobody", 400), ("default", 502)):
        said = body | {"response_format": "wav", "voice": voice}
        assert client.post("/v1/audio/speech", json=said).status_code == status
