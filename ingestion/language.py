"""The language of documents and of passages that clearly differ from theirs."""

from utils.language import PLAUSIBLE, choose_most_likely

SAMPLE_CHARACTERS = 2_000
SAMPLES = 4
LONG_CHARACTERS = 300
CLEARLY = 0.9
LIKELY = 0.35  # "Hello World" is Italian with .31, a single letter Arabic with .04
UNKNOWN = "en"


def detect_document_language(text: str) -> str:
    """The ISO 639-1 code of the language most of *text* is in, judged by samples from all over it.

    What is too short or no language at all counts as English.
    """
    step = max(len(text) // SAMPLES, SAMPLE_CHARACTERS)
    sample = " ".join(text[start : start + SAMPLE_CHARACTERS] for start in range(0, len(text), step))
    language, probability = choose_most_likely(sample, PLAUSIBLE)
    return language if probability >= LIKELY else UNKNOWN


def detect_passage_language(text: str, document: str) -> str:
    """The language of a passage: the document's, unless it is long and clearly in another."""
    if len(text) < LONG_CHARACTERS:
        return document
    language, probability = choose_most_likely(text, PLAUSIBLE)
    return language if probability >= CLEARLY else document
