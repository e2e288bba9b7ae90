"""How people type on a phone, in the words that documents use: "brp org yg boleh masuk" asks "berapa orang …"."""

import re
from functools import cache

from utils.data_files import load_json
from utils.language import detect_language

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 500  # characters
_SHORTEST_DOUBLED = 3  # letters: "P2" is a place


def spell_out(text: str) -> str:
    """*text* with the short forms of its language spelled out, English, Spanish or Indonesian; the rest as it stands.

    A text longer than a message from a phone comes back as it is.
    """
    if len(text) > _LONGEST:
        return text
    language = detect_language(text)
    short_forms = _load_short_forms().get(language, {})

    def replace(match: re.Match[str]) -> str:
        word = match[0]
        if language == "id" and word[-1] == "2" and len(word) > _SHORTEST_DOUBLED and word[:-1].isalpha():
            return f"{word[:-1]}-{word[:-1]}"  # "teman2"
        return word if word.isupper() else short_forms.get(word.casefold(), word)  # "Band U" is none

    return _WORD.sub(replace, text)


@cache
def _load_short_forms() -> dict[str, dict[str, str]]:
    """By language, lower case. Those that are words of their own in it are left out: "no", "sin", "sale"."""
    return dict(load_json("utils", "shorthand.json"))
