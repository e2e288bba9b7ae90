"""Questions about files of the conversation as such: "summarise the attached file", "¿qué dice mi contrato.pdf?"."""

import re
from collections.abc import Iterable
from pathlib import PurePath

_FILE = "(?:files?|documents?|pdfs?|attachments?|archivos?|ficheros?|documentos?|berkas|dokumen)"
_THIS = "(?:this|these|the attached|my|este|estos|mi|mis)"
_LATER = "(?:attached|adjuntos?|adjuntados?|ini|itu|saya|terlampir)"  # Spanish and Indonesian say it behind the noun
_ABOUT = re.compile(rf"\b(?:{_THIS} {_FILE}|{_FILE} {_LATER}|attachments?|adjuntos?|terlampir|lampiran)\b")
_SHORTEST_NAME = 4  # characters: a shorter one may be any word


def is_about_attached(question: str, names: Iterable[str]) -> bool:
    """Whether *question* speaks of an attached file, or of one by its name, which is one of *names*."""
    text = " ".join(question.casefold().split())
    stems = {PurePath(name).stem.casefold() for name in names}
    return bool(_ABOUT.search(text)) or any(_names(text, stem) for stem in stems)


def _names(text: str, stem: str) -> bool:
    """Whether *stem* is there as a word, or as some: "form" is not in "information"."""
    before, result, after = f" {text} ".partition(stem)
    return len(stem) >= _SHORTEST_NAME and bool(result) and not (before[-1:].isalnum() or after[:1].isalnum())
