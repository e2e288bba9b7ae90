"""Spoken questions, by two tenants, over endpoints of real HTTP; and files that are no recordings."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.visitors import VISITOR_HEADER, sign_visitor
from tests.conftest import PAGE_KEY
from tests.fakes.speech_server import FakeSpeechServer, make_wav
from tests.scrapes import scrape
from tests.service import Service, ask, await_knowledge, free_port, one_document
from utils.audio import NO_TRANSCRIPTION

ROOMS = "How much does a dormitory room cost?"
SPOKEN = make_wav(0.5)
SPEECH = "/v1/conversations/{conversation_id}/answers/{run_id}/speech"
FILE = {"audio": ("a.wav", SPOKEN)}
SECRET = "the-key-of-the-speech-endpoint"
HEADS = {
    "wav": SPOKEN[:64],
    "mp3": b"ID3\x04\0\0\0\0\0\0" + b"\0" * 60,
    "flac": b"fLaC\0\0\0\x22" + b"\0" * 60,
    "ogg": b"OggS\0\x02" + b"\0" * 60,
    "m4a": b"\0\0\0\x20ftypM4A \0\0\0\0" + b"\0" * 60,
    "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + b"\0" * 60,
}


@pytest.fixture(scope="module")
def metrics_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def offered() -> list[bool]:
    """Whether recordings were taken before the endpoint had a model for them."""
    return []


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, speech: FakeSpeechServer, metrics_port: int, offered: list[bool]
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("voice")
    variables = {
        "RATE_LIMIT_PER_HOUR": "100000",
        "PROMETHEUS_ENABLED": "true",
        "METRICS_PORT": str(metrics_port),
        "CHAT_PAGE_KEY": PAGE_KEY,
        "VISITOR_QUESTIONS_PER_DAY": "2",
        "STT_BASE_URL": speech.base_url,
        "STT_API_KEY": SECRET,
        "TTS_BASE_URL": speech.base_url,
        "TTS_VOICE": "nova",
        "EMOTION_ANALYSIS_URL": speech.base_url,  # VOICE_EMOTION is off
    }
    speech.has_model = False
    with Service(folder / "data", **one_document(folder), **variables).watched() as running:
        await_knowledge(running, ROOMS)
        with running.client() as first:
            offered.append(takes_recordings(first))
            speech.has_model = True
            running.wait_for(lambda: takes_recordings(first))
            # The emotion is told once the examples are embedded.
            running.wait_for(lambda: say(first, SPOKEN).json()["emotion"])
        yield running


def takes_recordings(client: httpx.Client) -> bool:
    return bool(client.get("/v1/terms").json()["are_recordings_taken"])


@pytest.fixture
def client(service: Service, speech: FakeSpeechServer) -> Iterator[httpx.Client]:
    speech.reset()
    with service.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def other_key(service: Service) -> str:
    return service.new_key("acme")


@pytest.fixture(scope="module")
def acme(service: Service, other_key: str) -> Iterator[httpx.Client]:
    with service.client(other_key) as opened:
        yield opened


def say(client: httpx.Client, data: bytes, talk: str = "", name: str = "x.bin", **headers: str) -> httpx.Response:
    headers = {"X-Conversation-Id": talk or uuid4().hex, **headers}
    return client.post("/v1/audio", files={"audio": (name, data)}, headers=headers)


def test_a_spoken_question_is_answered_in_text_and_speech_in_its_conversation(
    client: httpx.Client, acme: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk = uuid4().hex
    answered = say(client, SPOKEN, talk)
    assert answered.status_code == 200, answered.text
    told = answered.json()
    assert told["transcript"] == ROOMS
    assert "850,000" in told["answer"]
    assert told["sources"] == told["citations"][0]["source"]
    assert bytes.fromhex(told["audio"]) == speech.sound
    assert (told["audio_note"], told["emotion"]) == (None, "neutral")
    times = told["exec_time"]
    steps = ["speech_to_text", "emotion_analysis", "process_rag", "text_to_speech"]
    assert set(times) == {*steps, "total"}
    assert 0 < sum(times[step] for step in steps) <= times["total"] + 0.01
    heard, said = speech.requests
    assert (heard["path"], heard["filename"], heard["file"]) == ("/v1/audio/transcriptions", "speech.wav", SPOKEN)
    assert heard["headers"]["Authorization"] == f"Bearer {SECRET}"
    assert (said["path"], said["voice"], said["response_format"]) == ("/v1/audio/speech", "nova", "wav")
    assert "850,000" in said["input"]
    assert "[1]" not in said["input"]
    assert client.get(f"/v1/conversations/{talk}").json()["messages"][0]["content"] == ROOMS
    # The other tenant has neither the conversation nor the documents, under the same id.
    assert acme.get(f"/v1/conversations/{talk}").status_code == 404
    other = say(acme, SPOKEN, talk).json()
    assert not other["answered"]
    assert "850,000" not in other["answer"]
    assert len(client.get(f"/v1/conversations/{talk}").json()["messages"]) == 2


def test_a_past_answer_can_be_heard_by_who_has_it(
    client: httpx.Client, acme: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk = uuid4().hex
    run_id = client.post("/v1/chat", json={"message": ROOMS}, headers={"X-Conversation-Id": talk}).json()["run_id"]
    path = f"/v1/conversations/{talk}/answers/{run_id}/speech"
    heard = client.post(path)
    assert (heard.status_code, heard.headers["Content-Type"], heard.content) == (200, "audio/wav", speech.sound)
    described = client.get("/openapi.json").json()["paths"][SPEECH]["post"]
    assert described["requestBody"]["required"] is False
    [said] = speech.requests
    assert (said["path"], said["response_format"]) == ("/v1/audio/speech", "wav")
    assert "850,000" in said["input"]
    assert "[1]" not in said["input"]
    for body in ({"response_format": "mp4"}, {"text": "Something else"}):
        assert client.post(path, json=body).status_code == 400
    speech.statuses = [400]
    refused = client.post(path, json={"response_format": "mp3"})
    assert (refused.status_code, "voice or format" in refused.json()["detail"]) == (400, True)
    speech.statuses, speech.requests = [400], []
    assert client.post(path, json={"response_format": "mp3_or_wav"}).headers["Content-Type"] == "audio/wav"
    assert client.post(path, json={"response_format": "mp3_or_wav"}).content == speech.sound  # which is never MP3 there
    assert [each["response_format"] for each in speech.requests] == ["mp3", "wav"] * 2
    speech.statuses = [500] * 9  # it is asked more than once
    assert client.post(path, json={}).status_code == 502
    assert acme.post(path, json={}).status_code == 404
    assert client.post(path.replace(run_id, uuid4().hex), json={}).status_code == 404
    assert {client.get("/v1/terms").json()[name] for name in ("are_recordings_taken", "are_answers_spoken")} == {True}


def test_recordings_are_not_taken_before_the_endpoint_has_a_model_for_them(
    client: httpx.Client, offered: list[bool]
) -> None:
    assert (offered, takes_recordings(client)) == ([False], True)


@pytest.mark.parametrize("kind", HEADS)
def test_every_kind_is_told_by_its_content_and_cut_files_of_every_length_are_refused_or_heard(
    client: httpx.Client, speech: FakeSpeechServer, kind: str
) -> None:
    speech.heard = ""  # no answer is to be waited for
    for length in range(0, len(HEADS[kind]), 3):
        refused = say(client, HEADS[kind][:length], name="x.exe")
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:pustaka:problem:unreadable-document")
    say(client, HEADS[kind], name="x.exe")
    assert speech.requests[-1]["filename"] == f"speech.{kind}"


@pytest.mark.parametrize(
    "brand", ["M4A ", "iso5", "iso6", "isom", "3gp4", "3gp6", "3g2a", "qt  ", "mp42", "heic", "avif"]
)
def test_recordings_of_telephones_are_taken_and_pictures_are_not(
    client: httpx.Client, speech: FakeSpeechServer, brand: str
) -> None:
    speech.heard = ""
    sent = say(client, b"\0\0\0\x1cftyp" + brand.encode() + b"\0\0\0\0isommif1" + b"\0" * 60)
    heard = [one["filename"] for one in speech.requests]
    assert heard == ([] if brand in ("heic", "avif") else ["speech.m4a"])
    assert ("No speech" if heard else "not supported") in sent.json()["detail"]


@pytest.mark.parametrize(
    ("answered", "refusal", "status"),
    [
        (400, "Audio file might be corrupted or unsupported", 422),
        (400, "Invalid file format. Supported formats: ['flac', 'mp3']", 422),
        (400, "could not process file - is it a valid media file?", 422),
        (400, "failed to read audio data", 422),
        (415, "Failed to decode audio. The provided file type is not supported.", 422),
        (400, "Invalid or unsupported audio file.", 422),
        (400, "Audio file is too short. Minimum audio length is 0.1 seconds.", 422),
        (415, "Unsupported media type: audio/webm", 422),
        (400, "Unsupported file format. Content type is video/mp4.", 422),
        (415, "Unsupported Media Type", 502),
        (415, "Unsupported media type 'multipart/form-data' in request.", 502),
        (400, "Failed to parse multipart file data", 502),
        (422, "Invalid content type for file: application/octet-stream", 502),
        (400, "Unsupported model for audio transcription", 502),
        (400, "Unrecognized request argument supplied: language", 502),
        (403, "Access to audio files is invalid", 502),
    ],
)
def test_what_the_endpoint_says_of_a_recording_is_no_failure_of_the_service(
    client: httpx.Client, speech: FakeSpeechServer, answered: int, refusal: str, status: int
) -> None:
    speech.statuses, speech.refusal = [answered], refusal
    refused = say(client, SPOKEN)
    assert refused.status_code == status
    assert ("damaged" in refused.json()["detail"]) == (status == 422)
    assert refusal not in refused.text
    assert len(speech.requests) == 1


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 422, "empty"),
        (b"%PDF-1.7 " + b"x" * 100, 422, "not supported"),
        (b"\xff" * 100, 422, "not supported"),
        (make_wav(1, level=0), 422, "No speech"),
        (make_wav(0), 422, "No speech"),
        (SPOKEN[:12], 422, "damaged"),
        (b"RIFF\xff\xff\xff\xffWAVE" + b"junk\0\0\0\0" * 2_000_000 + SPOKEN[12:], 422, "damaged"),
        (SPOKEN + bytes(16 * 2**20), 413, "16 MB"),
    ],
    ids=["empty", "pdf", "ones", "silence", "no-frames", "no-data", "chunks", "large"],
)
def test_what_is_no_recording_is_refused_before_it_is_sent(
    client: httpx.Client, speech: FakeSpeechServer, data: bytes, status: int, words: str
) -> None:
    refused = say(client, data)
    assert refused.status_code == status
    assert words in refused.json()["detail"]
    assert speech.requests == []


def test_five_minutes_are_heard_and_noise_and_endless_talk_are_refused(
    client: httpx.Client, speech: FakeSpeechServer
) -> None:
    assert say(client, make_wav(300)).status_code == 200
    for heard, status, words in (
        (" ... ", 422, "No speech"),
        ("word " * 1_001, 413, "at most 5,000 characters"),
        ("word " * 20_001, 413, "more than 100,000 characters. Send a shorter recording."),
    ):
        speech.heard = heard
        refused = say(client, SPOKEN)
        assert (refused.status_code, words in refused.json()["detail"]) == (status, True)


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({"files": {"audio": ("a.wav", SPOKEN)}}, 400, "X-Conversation-Id"),
        ({"files": {"sound": ("a.wav", SPOKEN)}, "headers": {"X-Conversation-Id": "a"}}, 400, "audio"),
        ({"files": [("audio", ("a.wav", SPOKEN))] * 2, "headers": {"X-Conversation-Id": "a"}}, 400, "audio"),
        (
            {
                "files": {"audio": ("a.wav", SPOKEN)},
                "data": {"language": "a\nb"},
                "headers": {"X-Conversation-Id": "a"},
            },
            400,
            "language",
        ),
        ({"json": {"audio": "x"}, "headers": {"X-Conversation-Id": "a"}}, 415, None),
    ],
)
def test_a_wrong_form_is_refused_by_the_field(
    client: httpx.Client, sent: dict[str, Any], status: int, field: str | None
) -> None:
    problem = client.post("/v1/audio", **sent)
    assert problem.status_code == status
    assert field is None or problem.json()["errors"][0]["field"] == field


def test_the_answer_is_given_without_speech_where_the_endpoint_fails_and_no_secret_is_told(
    client: httpx.Client, service: Service, speech: FakeSpeechServer
) -> None:
    speech.sound = make_wav(1)[:-5000]
    cut = say(client, SPOKEN).json()
    assert (cut["audio"], "broke the connection off" in cut["audio_note"]) == (None, True)
    speech.sound = b"no sound"
    told = say(client, SPOKEN).json()
    assert told["audio"] is None
    assert "TTS_BASE_URL" in told["audio_note"]
    assert "850,000" in told["answer"]
    speech.statuses = [401]
    refused = say(client, SPOKEN)
    assert refused.status_code == 502
    assert "STT_API_KEY" in refused.json()["detail"]
    assert "secret words" not in refused.text
    assert SECRET not in refused.text + service.logged()
    speech.statuses, speech.code = [404], NO_TRANSCRIPTION  # of `python -m speech` without weights
    refused = say(client, SPOKEN)
    assert refused.status_code == 502
    assert "has no model for recordings" in refused.json()["detail"]


def test_calls_to_the_endpoints_are_timed_and_their_errors_counted_but_not_bad_recordings(
    client: httpx.Client, speech: FakeSpeechServer, metrics_port: int
) -> None:
    before = scrape(metrics_port)
    assert say(client, SPOKEN).status_code == 200
    speech.statuses, speech.refusal = [400], "Audio file might be corrupted or unsupported"
    assert say(client, SPOKEN).status_code == 422
    assert say(client, make_wav(1, level=0)).status_code == 422
    speech.statuses, speech.refusal = [400, 400], "Unsupported voice, or unknown language"
    refused = client.post("/v1/audio", headers={"X-Conversation-Id": "a"}, files=FILE, data={"language": "zz"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "language")
    said = {"model": "default", "input": "a", "voice": "nobody"}
    assert client.post("/v1/audio/speech", json=said).status_code == 400
    speech.statuses = [401]
    assert say(client, SPOKEN).status_code == 502
    found, calls = scrape(metrics_port), "pustaka_model_call_duration_seconds_count"

    def grown(name: str, **labels: str) -> float:
        return found.value(name, **labels) - before.value(name, **labels)

    assert grown(calls, kind="speech_to_text", outcome="ok") == 3
    assert grown(calls, kind="speech_to_text", outcome="failed") == 1
    assert grown(calls, kind="text_to_speech", outcome="ok") == 2
    assert grown(calls, kind="text_to_speech", outcome="failed") == 0
    assert grown("pustaka_model_errors_total", kind="speech_to_text", reason="key_refused") == 1
    assert found.value("pustaka_model_calls_running", kind="text_to_speech") == 0


def test_a_visitor_s_question_is_counted_once_and_before_its_recording_is_paid_for(
    service: Service, speech: FakeSpeechServer
) -> None:
    speech.reset()
    token = sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 60)
    with service.client(PAGE_KEY, **{VISITOR_HEADER: token}) as visitor:
        assert say(visitor, b"no recording").status_code == 422  # not counted: nothing was asked of an endpoint
        assert say(visitor, SPOKEN).status_code == 200
        assert say(visitor, make_wav(1, level=0)).status_code == 422  # counted: it was read to its end
        heard = len(speech.requests)
        refused = say(visitor, SPOKEN)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:pustaka:problem:rate-limited")
        assert int(refused.headers["Retry-After"]) > 0
    assert len(speech.requests) == heard
    with service.client() as client:
        assert client.get("/health?verbose").json()["admission"]["turn_count"] == 0


def test_a_recording_that_is_sent_again_is_asked_once(client: httpx.Client, speech: FakeSpeechServer) -> None:
    talk, key = uuid4().hex, {"Idempotency-Key": uuid4().hex}
    first = say(client, SPOKEN, talk, **key)
    speech.heard = "How much is a room?"  # a model may understand it otherwise the next time
    again = say(client, SPOKEN, talk, **key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["X-Run-Id"] == first.headers["X-Run-Id"]
    assert again.json()["transcript"] == ROOMS
    assert say(client, make_wav(0.6), talk, **key).status_code == 422
    headers = {"X-Conversation-Id": talk, **key}
    assert client.post("/v1/audio", files=FILE, data={"language": "id"}, headers=headers).status_code == 422
    assert say(client, SPOKEN, uuid4().hex, **key).status_code == 422
    assert say(client, SPOKEN, talk, **{"Idempotency-Key": "a key of words"}).status_code == 400
    heard = [one for one in speech.requests if one["path"].endswith("/transcriptions")]
    assert len(heard) == 1  # each is paid for


def test_a_recording_that_is_sent_several_times_at_once_is_transcribed_once(
    service: Service, client: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk, key = uuid4().hex, {"Idempotency-Key": uuid4().hex}
    speech.may_answer.clear()
    with ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(say, client, SPOKEN, talk, **key) for _ in range(3)]
        with suppress(AssertionError):
            service.wait_for(lambda: sum(one.done() for one in sent) == 2, 20)
        speech.may_answer.set()
        answers = sorted((one.result() for one in sent), key=lambda one: one.status_code)
    heard = [one for one in speech.requests if one["path"].endswith("/transcriptions")]
    assert ([one.status_code for one in answers], len(heard)) == ([200, 409, 409], 1)
    assert answers[1].json()["type"].endswith("request-under-way")
    assert int(answers[1].headers["Retry-After"]) > 0
    assert say(client, SPOKEN, talk, **key).headers["X-Run-Id"] == answers[0].headers["X-Run-Id"]


@pytest.mark.parametrize("name", ["language", "bot_id", "metadata"])
def test_a_field_that_is_sent_twice_is_refused_by_its_name(
    client: httpx.Client, speech: FakeSpeechServer, name: str
) -> None:
    form = [("audio", ("a.wav", SPOKEN)), (name, (None, b"i")), (name, (None, b"d"))]
    refused = client.post("/v1/audio", files=form, headers={"X-Conversation-Id": uuid4().hex})
    assert (refused.status_code, name in refused.json()["detail"]) == (400, True)
    assert speech.requests == []


def test_the_key_of_one_tenant_is_not_that_of_another(
    client: httpx.Client, acme: httpx.Client, speech: FakeSpeechServer
) -> None:
    talk, key = uuid4().hex, {"Idempotency-Key": uuid4().hex}
    say(client, SPOKEN, talk, **key)
    other = say(acme, make_wav(0.6), talk, **key)
    assert (other.status_code, "Idempotency-Replayed" in other.headers) == (200, False)


def test_a_service_without_an_endpoint_names_the_setting(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("mute")
    with Service(folder / "data", **one_document(folder)).watched() as mute, mute.client() as client:
        refused = say(client, SPOKEN)
        assert refused.status_code == 409
        assert "STT_BASE_URL" in refused.json()["detail"]
        for sent in ({"json": {"model": "default", "voice": "a", "input": "a"}}, {"files": {"file": ("a", SPOKEN)}}):
            path = "/v1/audio/speech" if "json" in sent else "/v1/audio/transcriptions"
            refused = client.post(path, **sent)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not-found")
            assert "_BASE_URL" in refused.json()["error"]["message"]
        assert ask(client, ROOMS, "written").status_code in (200, 503)
