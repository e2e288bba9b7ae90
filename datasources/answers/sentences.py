"""The sentences of answers in English, Spanish and Indonesian, by what they tell of: those of `sentences.json`."""

from collections.abc import Mapping
from typing import Any, Literal

from utils.data_files import load_json

Kind = Literal["answer", "followup", "description", "units"]
_SENTENCES: dict[str, Any] = load_json("datasources.answers", "sentences.json")


def get_sentences(kind: Kind, language: str) -> Mapping[str, str]:
    """The sentences of *language* by their names, else the English ones."""
    sentences: Mapping[str, str] = _SENTENCES.get(language, _SENTENCES["en"])[kind]
    return sentences
