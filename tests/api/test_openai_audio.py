"""Recordings and texts of OpenAI's own client, for two tenants, over endpoints of real HTTP."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import openai
import pytest
from openai import OpenAI

from api.visitors import VISITOR_HEADER, sign_visitor
from tests.api.test_voice import HEADS, ROOMS, SPOKEN
from tests.conftest import PAGE_KEY
from tests.fakes.speech_server import FakeSpeechServer, make_wav
from tests.security.test_website_visitors import add_bot, as_visitor
from tests.service import Service

KINDS = {"mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, speech: FakeSpeechServer) -> Iterator[Service]:
    variables = {
        "STT_BASE_URL": speech.base_url,
        "TTS_BASE_URL": speech.base_url,
        "TTS_VOICE": "nova",
        "RATE_LIMIT_PER_HOUR": "100000",
        "CHAT_PAGE_KEY": PAGE_KEY,
        "VISITOR_QUESTIONS_PER_DAY": "2",
    }
    with Service(tmp_path_factory.mktemp("audio"), **variables).watched() as running:
        yield running


@pytest.fixture(scope="module")
def other_key(service: Service) -> str:
    return service.new_key("acme")


@pytest.fixture(autouse=True)
def _reset(speech: FakeSpeechServer) -> None:
    speech.reset()


def test_openai_s_client_transcribes_and_speaks_for_every_tenant(
    caller: OpenAI, stranger: OpenAI, speech: FakeSpeechServer
) -> None:
    heard = caller.audio.transcriptions.create(model="default", file=("visit.exe", SPOKEN), language="en")
    assert heard.text == ROOMS
    plain: str = stranger.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", SPOKEN), response_format="text", temperature=0
    )
    assert plain == f"{ROOMS}\n"
    speech.heard = f"\x1b\0{ROOMS}\u202e"  # which a terminal would obey
    options: dict[str, Any] = {"model": "default", "file": ("a.wav", SPOKEN), "response_format": "text"}
    assert caller.audio.transcriptions.create(**options) == f"{ROOMS}\n"
    first, second, _ = speech.requests
    assert (first["filename"], first["file"], first["language"]) == ("speech.wav", SPOKEN, b"en")
    assert (first["model"], second["response_format"]) == (b"whisper-1", b"json")
    for response_format, kind in (("mp3", "mp3"), ("opus", "ogg"), ("flac", "flac"), ("wav", "wav")):
        speech.sound = HEADS[kind] if kind != "wav" else SPOKEN
        said = stranger.audio.speech.create(
            model="tts-1", voice="af_bella+af_sky", input="Good morning.", response_format=response_format, speed=1.5
        )
        assert said.content == speech.sound
        assert said.response.headers["content-type"] == KINDS[kind]
        asked = speech.requests[-1]
        assert (asked["voice"], asked["input"], asked["speed"]) == ("af_bella+af_sky", "Good morning.", 1.5)
        assert asked["response_format"] == response_format
    speech.sound = HEADS["mp3"]
    with caller.audio.speech.with_streaming_response.create(model="default", voice="default", input="a") as streamed:
        assert streamed.read() == HEADS["mp3"]
    assert (speech.requests[-1]["voice"], "speed" in speech.requests[-1]) == ("nova", False)


@pytest.mark.parametrize(
    ("changed", "status", "param"),
    [
        ({"model": "whisper-2"}, 404, None),
        ({"response_format": "verbose_json"}, 400, "response_format"),
        ({"response_format": "srt"}, 400, "response_format"),
        ({"stream": True}, 400, "stream"),
        ({"prompt": "Dormitory"}, 400, "prompt"),
        ({"timestamp_granularities": ["word"]}, 400, "timestamp_granularities[]"),
        ({"language": "english"}, 400, "language"),
        ({"file": ("a.wav", b"%PDF-1.7 " + b"x" * 100)}, 422, None),
        ({"file": ("a.wav", make_wav(1, level=0))}, 422, None),
        ({"file": ("a.wav", SPOKEN[:12])}, 422, None),
        ({"file": ("a.wav", SPOKEN + bytes(16 * 2**20))}, 413, None),
    ],
)
def test_transcriptions_that_cannot_be_given_are_refused_by_name(
    caller: OpenAI, speech: FakeSpeechServer, changed: dict[str, Any], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        caller.audio.transcriptions.create(**{"model": "default", "file": ("a.wav", SPOKEN), **changed})
    assert (refused.value.status_code, refused.value.param) == (status, param)
    assert speech.requests == []


@pytest.mark.parametrize("name", ["include", "timestamp_granularities", "known_speaker_names"])
def test_what_is_not_supported_is_refused_by_its_name_without_brackets_too(
    service: Service, speech: FakeSpeechServer, name: str
) -> None:
    form = {"model": "default", name: "word"}
    with service.client() as client:
        refused = client.post("/v1/audio/transcriptions", files={"file": ("a.wav", SPOKEN)}, data=form)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert speech.requests == []


@pytest.mark.parametrize(
    ("changed", "status", "param"),
    [
        ({"model": "tts-2"}, 404, None),
        ({"response_format": "pcm"}, 400, "response_format"),
        ({"voice": "../a"}, 400, "voice"),
        ({"speed": 9}, 400, "speed"),
        ({"input": " "}, 400, "input"),
        ({"input": "x" * 4_097}, 400, "input"),
        ({"instructions": "Whisper."}, 400, "instructions"),
        ({"stream_format": "sse"}, 400, "stream_format"),
    ],
)
def test_speech_that_cannot_be_given_is_refused_by_name(
    caller: OpenAI, speech: FakeSpeechServer, changed: dict[str, Any], status: int, param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        caller.audio.speech.create(**{"model": "default", "voice": "default", "input": "Good morning.", **changed})
    assert (refused.value.status_code, refused.value.param) == (status, param)
    assert speech.requests == []


def test_what_the_endpoint_refuses_or_sends_amiss_is_told_in_openai_s_shape(
    caller: OpenAI, speech: FakeSpeechServer
) -> None:
    speech.statuses = [400]
    with pytest.raises(openai.BadRequestError, match="voice or format") as refused:
        caller.audio.speech.create(model="default", voice="nobody", input="Good morning.")
    with pytest.raises(openai.APIStatusError, match="TTS_BASE_URL") as amiss:  # it is asked for MP3, and sends WAV
        caller.audio.speech.create(model="default", voice="default", input="Good morning.")
    assert (amiss.value.status_code, amiss.value.code) == (502, "provider-unavailable")
    speech.sound = SPOKEN[:12]  # a file without samples
    with pytest.raises(openai.APIStatusError, match="broke the connection off"):
        caller.audio.speech.create(model="default", voice="default", input="a", response_format="wav")
    speech.statuses = [401]
    with pytest.raises(openai.APIStatusError, match="STT_API_KEY") as failed:
        caller.audio.transcriptions.create(model="default", file=("a.wav", SPOKEN))
    assert not any("secret words" in str(error.value) for error in (refused, amiss, failed))


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        (400, "Language 'zz' is not supported", 400),
        (422, "language: Input should be 'en' or 'id'", 400),
        (400, "secret words", 400),
        (400, "Unsupported model for transcription", 502),
        (404, "Not Found", 502),
    ],
)
def test_a_language_that_the_endpoint_does_not_know_is_the_caller_s_mistake(
    caller: OpenAI, speech: FakeSpeechServer, status: int, words: str, expected: int
) -> None:
    speech.statuses, speech.refusal = [status], words
    with pytest.raises(openai.APIStatusError) as refused:
        caller.audio.transcriptions.create(model="default", file=("a.wav", SPOKEN), language="zz")
    assert refused.value.status_code == expected
    assert refused.value.param == ("language" if expected == 400 else None)
    assert words not in str(refused.value)


@pytest.mark.parametrize(
    ("voice", "status", "words", "expected"),
    [
        ("nobody", 404, "Voice 'nobody' not found", 400),
        ("nobody", 404, "Not Found", 502),
        ("nobody", 400, "The model 'tts-1' does not exist", 502),
        ("default", 400, "Voice 'nova' not found", 502),
        ("default", 400, "Unsupported response format", 400),
        ("default", 400, "The input is too long", 400),
    ],
)
def test_a_voice_is_the_caller_s_mistake_only_where_the_caller_chose_it(
    caller: OpenAI, speech: FakeSpeechServer, voice: str, status: int, words: str, expected: int
) -> None:
    speech.statuses, speech.refusal = [status], words
    with pytest.raises(openai.APIStatusError) as refused:
        caller.audio.speech.create(model="default", voice=voice, input="Good morning.")
    assert refused.value.status_code == expected


def test_speech_that_is_too_large_says_what_to_do_where_the_text_is_long(
    caller: OpenAI, speech: FakeSpeechServer
) -> None:
    speech.sound = SPOKEN + bytes(16 * 2**20)
    said: Any = {"model": "default", "voice": "default", "response_format": "wav", "speed": 0.5}
    with pytest.raises(openai.APIStatusError, match="shorter text, ask for mp3") as refused:
        caller.audio.speech.create(input="word " * 800, **said)
    assert refused.value.status_code == 413
    with pytest.raises(openai.APIStatusError, match="TTS_BASE_URL") as failed:
        caller.audio.speech.create(input="Good morning.", **said)
    assert failed.value.status_code == 502


def test_a_transcription_is_paid_for_once_under_a_key_and_counts_as_a_visitor_s_question(
    service: Service, caller: OpenAI, stranger: OpenAI, speech: FakeSpeechServer
) -> None:
    once = {"extra_headers": {"Idempotency-Key": uuid4().hex}}
    for client in (caller, caller, stranger):
        client.audio.transcriptions.create(model="default", file=("a.wav", SPOKEN), **once)
    assert len(speech.requests) == 2
    token = sign_visitor(PAGE_KEY, uuid4().hex, int(time.time()) + 60)
    said = {"model": "default", "voice": "default", "input": "a", "response_format": "wav"}
    with service.client(PAGE_KEY, **{VISITOR_HEADER: token}) as visitor:
        answered = [
            visitor.post("/v1/audio/transcriptions", files={"file": ("a.wav", SPOKEN)}, data={"model": "default"}),
            visitor.post("/v1/audio/speech", json=said),
            visitor.post("/v1/audio/speech", json=said),
            visitor.post("/v1/audio/transcriptions", files={"file": ("a.wav", SPOKEN)}, data={"model": "default"}),
        ]
    assert [one.status_code for one in answered] == [200, 200, 429, 429]
    assert answered[3].json()["error"]["type"] == "rate_limit_error"
    assert len(speech.requests) == 4


def test_a_visitor_of_a_website_neither_transcribes_nor_speaks(service: Service, speech: FakeSpeechServer) -> None:
    said = {"model": "default", "voice": "default", "input": "a", "response_format": "wav"}
    form = {"files": {"file": ("a.wav", SPOKEN)}, "data": {"model": "default"}}
    for key in (None, service.new_key("acme", ["bots:write"])):
        with service.client(*([key] if key else [])) as owner, as_visitor(service, add_bot(owner)) as visitor:
            refused = [visitor.post("/v1/audio/speech", json=said), visitor.post("/v1/audio/transcriptions", **form)]
        assert [(one.status_code, one.json()["error"]["code"]) for one in refused] == [(403, "forbidden")] * 2
    assert speech.requests == []


def test_the_key_of_a_bot_that_is_switched_off_neither_transcribes_nor_speaks(
    service: Service, speech: FakeSpeechServer
) -> None:
    with service.client(service.new_key("acme", ["bots:write"])) as admin:
        assert admin.post("/v1/tenant/bots", json={"id": "mine", "name": "Mine"}).status_code == 201
        made = service.flask("api-key", "create", "acme", "--bot", "mine")
        with service.client(made.stdout.strip().split("'")[1]) as bot:
            said = {"model": "default", "voice": "default", "input": "a", "response_format": "wav"}
            form = {"files": {"file": ("a.wav", SPOKEN)}, "data": {"model": "default"}}
            send = {"/v1/audio/speech": {"json": said}, "/v1/audio/transcriptions": form}
            assert [bot.post(path, **body).status_code for path, body in send.items()] == [200, 200]
            assert admin.patch("/v1/tenant/bots/mine", json={"enabled": False}).status_code == 200
            speech.requests.clear()
            refused = [bot.post(path, **body) for path, body in send.items()]
    assert [one.status_code for one in refused] == [409, 409], refused[0].text
    assert speech.requests == []
