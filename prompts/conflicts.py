"""What a reader is told where documents say different things, in English, Spanish and Indonesian."""

from collections.abc import Sequence

from utils.formats import format_day

_DIFFER = {
    "en": "The documents differ here:",
    "es": "Los documentos no coinciden en esto:",
    "id": "Dokumen-dokumen berbeda dalam hal ini:",
}
_SIDE = {"en": "“{}” of {} says", "es": "«{}» del {} dice", "id": "“{}” tanggal {} menyatakan"}
_NEWER = {"en": "“{}” is the newer one.", "es": "«{}» es el más reciente.", "id": "“{}” lebih baru."}
_PRECEDES = {"en": "“{}” takes precedence.", "es": "Prevalece «{}».", "id": "“{}” yang diutamakan."}
_SAME_DAY = {
    "en": "Both are of the same day: ask which one holds.",
    "es": "Ambos son del mismo día: pregunte cuál vale.",
    "id": "Keduanya bertanggal sama: tanyakan mana yang berlaku.",
}
_UNDECIDED = {"en": "Ask which one holds.", "es": "Pregunte cuál vale.", "id": "Tanyakan mana yang berlaku."}


def differ(language: str) -> str:
    """What two sentences that do not fit together begin with, in *language* (ISO 639-1), else in English."""
    return _DIFFER.get(language, _DIFFER["en"])


def describe_side(title: str, dated: str | None, language: str) -> str:
    """What a quote of a document of a day, such as 2026-12-31, begins with."""
    return _SIDE.get(language, _SIDE["en"]).format(title, format_day(dated, language)) if dated else title


def describe_verdict(title: str, decided_by: str | None, language: str) -> str:
    """That of two documents the one called *title* holds, as *decided_by* "precedence" or "date"."""
    words = _PRECEDES if decided_by == "precedence" else _NEWER
    return words.get(language, words["en"]).format(title)


def describe_undecided(days: Sequence[str | None], language: str) -> str:
    """That neither of two documents of these *days* is known to hold."""
    words = _SAME_DAY if all(days) else _UNDECIDED
    return words.get(language, words["en"])
