"""Spoken questions through `POST /v1/audio`: what each stage takes, whether the stages add up, and what is understood.

    python -m benchmarks.voice                     # endpoints that answer at once
    python -m benchmarks.voice --weights DIR       # `python -m speech` on this machine: faster-whisper and espeak-ng

Thirty questions about the samples, ten in each of three languages, spoken by espeak-ng and asked one after the other,
each in a conversation of its own with its language named; answers are quotes. The endpoints that answer at once show
what the service itself adds. With weights there are also the
word error rate, of a robot's voice, the real-time factor (seconds of the stage by seconds of the recording), and the
same of the engine's processor time, which says more where the machine has other work.
`unaccounted_ms` is what the client waited beyond the stages. Exit code 1 where a question fails, or that is more than
250 ms in the median, in which the recording and the speech are carried.
"""

import argparse
import io
import json
import re
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from benchmarks.machine import cpu_s, describe_machine, process_tree
from benchmarks.processes import free_ports, start, wait_until_ready
from speech import espeak
from tests.fakes.speech_server import FakeSpeechServer
from tests.service import Service, await_knowledge
from utils.processes import Child

HERE = Path(__file__).parent
VOICES = {"en": "en-us", "id": "id", "es": "es"}
STAGES = ("speech_to_text", "process_rag", "text_to_speech")
MAX_UNACCOUNTED_MS = 250
# Without figures and names, which have more than one right spelling.
SENTENCES = {
    "en": """How much does a dormitory room cost?
When do I have to pay the deposit?
Who gets a place in the dormitory first?
How do I apply for a place?
What happens if I pay my tuition late?
Can I pay the tuition in instalments?
What should I do if a chemical is spilled in the laboratory?
How is the final grade calculated?
May I repeat an exam that I failed?
Who may see my personal data?""",
    "id": """Jam berapa perpustakaan buka?
Berapa lama saya boleh meminjam buku?
Berapa denda keterlambatan buku?
Bagaimana cara memperpanjang peminjaman?
Bagaimana cara mendaftar kuliah?
Kapan kuliah semester ganjil dimulai?
Apa yang harus saya lakukan jika kartu mahasiswa hilang?
Bagaimana cara mengganti kata sandi?
Di mana saya boleh memarkir sepeda motor?
Bagaimana cara mengajukan pengaduan?""",
    "es": """¿Qué becas hay para los estudiantes?
¿Cómo puedo solicitar una beca?
¿Quién puede pedir la ayuda de emergencia?
¿Qué nota media exige la beca de excelencia?
¿Dónde está el centro de salud?
¿Cómo pido una cita con el médico?
¿Qué hago si tengo una urgencia por la noche?
¿Cuáles son los requisitos para el intercambio?
¿Cuándo se reembolsan los gastos de viaje?
¿Qué documentos necesito para el reembolso?""",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was answered: what was said and understood, and seconds."""

    language: str
    said: str
    heard: str
    sound_s: float
    wall_s: float
    stages: dict[str, float]
    engine_cpu_s: float


def main() -> int:
    """Ask, print and keep the figures; 1 if a question failed, or the stages do not add up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--weights", type=Path, help="a Whisper model in the format of CTranslate2")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "voice.json")
    options = parser.parse_args()
    machine = describe_machine()
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory(prefix="pustaka-bench-") as made:
        if options.weights:
            name = "faster-whisper and espeak-ng"
            with _start_engine(Path(made), options.weights.resolve()) as (url, pids):
                turns, failed = _measure(Path(made), url, engine=pids)
            report = {**_describe(turns, with_words=True), "failed": failed}
        else:
            name = "endpoints that answer at once"
            with FakeSpeechServer() as fake:
                turns, failed = _measure(Path(made), fake.base_url, fake=fake)
            report = {**_describe(turns, with_words=False), "failed": failed}
    print(name, json.dumps(report, indent=1))
    options.out.write_text(json.dumps({**kept, name: {"machine": machine, **report}}, indent=1) + "\n")
    return int(failed > 0 or report["all"]["unaccounted_ms"] > MAX_UNACCOUNTED_MS)


def _measure(
    folder: Path, url: str, *, fake: FakeSpeechServer | None = None, engine: Sequence[int] = ()
) -> tuple[list[Turn], int]:
    """All questions, of which the *fake* hears exactly what was said; and how many were not answered with 200."""
    # As many seconds as a slow engine takes: what is measured is how long it does.
    variables = {"STT_BASE_URL": url, "TTS_BASE_URL": url, "TTS_VOICE": "en-us", "STT_TIMEOUT": "300"}
    turns, failed = list[Turn](), 0
    with Service(folder / "data", RATE_LIMIT_ENABLED="false", **variables) as running, running.client() as client:
        await_knowledge(running, "How much does a dormitory room cost?")
        for language, sentences in SENTENCES.items():
            for said in sentences.splitlines():
                if fake is not None:
                    fake.heard = said
                turn = _ask(client, language, said, engine)
                failed += turn is None
                turns += [turn] if turn else []
    return turns, failed


def _ask(client: httpx.Client, language: str, said: str, engine: Sequence[int]) -> Turn | None:
    sound = espeak.speak(said, VOICES[language], 1)
    headers = {"X-Conversation-Id": f"bench-{time.time_ns()}"}
    began_s, cpu_before_s = time.perf_counter(), cpu_s(engine)
    answered = client.post(
        "/v1/audio", files={"audio": ("a.wav", sound)}, data={"language": language}, headers=headers, timeout=600
    )
    wall_s = time.perf_counter() - began_s
    if answered.status_code != 200 or answered.json()["audio"] is None:
        print(answered.status_code, answered.text[:300], file=sys.stderr)
        return None
    told = answered.json()
    times: dict[str, float] = told["exec_time"]
    stages = {name: times[name] for name in STAGES}
    return Turn(language, said, told["transcript"], _length_s(sound), wall_s, stages, cpu_s(engine) - cpu_before_s)


def _length_s(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as file:
        return float(file.getnframes() / file.getframerate())


def _describe(turns: Sequence[Turn], *, with_words: bool) -> dict[str, Any]:
    groups = {language: [turn for turn in turns if turn.language == language] for language in SENTENCES}
    return {name: _figures(group, with_words=with_words) for name, group in {**groups, "all": list(turns)}.items()}


def _figures(turns: Sequence[Turn], *, with_words: bool) -> dict[str, float]:
    sums = [sum(turn.stages.values()) for turn in turns]
    told: dict[str, float] = {"n": len(turns)}
    told |= {f"{name}_ms": _ms(turn.stages[name] for turn in turns) for name in STAGES}
    told |= {"stages_ms": _ms(sums), "wall_ms": _ms(turn.wall_s for turn in turns)}
    told["unaccounted_ms"] = _ms(turn.wall_s - stages for turn, stages in zip(turns, sums, strict=True))
    if with_words:
        words = sum(len(_split(turn.said)) for turn in turns)
        wrong = sum(_count_errors(_split(turn.said), _split(turn.heard)) for turn in turns)
        told["word_error_rate"] = round(wrong / words, 3)
        told["whole_sentences_right"] = sum(_split(turn.said) == _split(turn.heard) for turn in turns)
        heard_s = sum(turn.stages["speech_to_text"] for turn in turns)
        sound_s = sum(turn.sound_s for turn in turns)
        told["real_time_factor"] = round(heard_s / sound_s, 2)
        told["engine_cpu_by_sound"] = round(sum(turn.engine_cpu_s for turn in turns) / sound_s, 2)
    return told


def _ms(seconds: "Iterator[float] | Sequence[float]") -> float:
    return round(median(seconds) * 1000, 1)


def _split(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _count_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Words to be put in, taken out or changed, at least."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(said, 1):
        above, row = row, [number]
        for at, other in enumerate(heard):
            row.append(min(above[at] + (word != other), above[at + 1] + 1, row[at] + 1))
    return row[-1]


@contextmanager
def _start_engine(folder: Path, weights: Path) -> Iterator[tuple[str, list[int]]]:
    """Its address, and its processes."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    children = list[Child]()
    start(children, folder, "engine", ["-m", "speech", "--port", str(port), "--weights", str(weights)])
    try:
        wait_until_ready(children[0], f"{address}/health", 60)
        yield f"{address}/v1", process_tree(children[0].pid)
    finally:
        children[0].stop(10)


if __name__ == "__main__":
    sys.exit(main())
