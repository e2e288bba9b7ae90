"""The sentences of answers in English, Spanish and Indonesian, by what they tell of: those of `sentences.json`."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal

Kind = Literal["answer", "followup", "description", "units"]
_SENTENCES: dict[str, Any] = json.loads((files("datasources.answers") / "sentences.json").read_text("utf-8"))


def get_sentences(kind: Kind, language: str) -> Mapping[str, str]:
    """Those of *language* by their names, else the English ones."""
    sentences: Mapping[str, str] = _SENTENCES.get(language, _SENTENCES["en"])[kind]
    return sentences
