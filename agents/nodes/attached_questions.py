"""Questions about files of the conversation as such: "summarise the attached file", "¿qué dice mi contrato.pdf?"."""

import re
from collections.abc import Iterable
from pathlib import PurePath

_FILE = "(?:file|document|pdf|attachment|archivo|fichero|documento|adjunto|berkas|dokumen|lampiran)"
_THIS = "(?:this|the attached|my|este|el|mi)"
_LATER = "(?:attached|adjunto|adjuntado|ini|itu|saya|terlampir)"  # Spanish and Indonesian say it behind the noun
_ABOUT = re.compile(rf"\b(?:{_THIS} {_FILE}|{_FILE} {_LATER}|attachment|adjunto|terlampir|lampiran)\b")
_SHORTEST_NAME = 4  # characters: a shorter one may be any word


def is_about_attached(question: str, names: Iterable[str]) -> bool:
    """Whether *question* speaks of an attached file, or of one by its name, which is one of *names*."""
    asked = " ".join(question.casefold().split())
    stems = {PurePath(name).stem.casefold() for name in names}
    return bool(_ABOUT.search(asked)) or any(len(stem) >= _SHORTEST_NAME and stem in asked for stem in stems)
