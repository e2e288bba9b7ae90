"""What a text denies: its negations with the words they bear on, and words that mean the opposite of another."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from utils.facts.folding import folded

_NEGATIONS = {
    "en": "not no never none without cannot neither nor nobody nothing nowhere hardly lacks lacked lack",
    "es": "no nunca jamas sin ningun ninguna ninguno nadie nada ni tampoco",
    "id": "tidak bukan tak belum jangan tanpa tiada tidaklah bukanlah enggan",
}
_WORDS = {language: frozenset(words.split()) for language, words in _NEGATIONS.items()}
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_NOT_ONLY = {
    "en": {"only", "least", "later", "doubt"},
    "es": {"solo", "solamente", "obstante", "embargo"},
    "id": {"hanya", "saja"},
}
_AFTER, _BEFORE = 4, 2  # words that a negation may bear on

_OPPOSITES = (
    "open opens opened|closed closes close shut", "before|after", "more|less fewer", "most|least fewest",
    "maximum at-most|minimum at-least", "increase increased increases increasing rise rose grew|decrease decreased "
    "decreases decreasing fall fell declined decline shrank", "allowed permitted may can|forbidden prohibited banned "
    "disallowed", "first|last", "north northern|south southern", "east eastern|west western",
    "win won wins defeated|lost lose loses", "above over|below under", "higher highest high|lower lowest low",
    "largest larger large biggest bigger big|smallest smaller small", "longest longer long|shortest shorter short",
    "early earlier earliest|late later latest", "begin began begins start started starts|end ended ends finished "
    "stopped stops", "accept accepted accepts|reject rejected rejects refused refuse", "free|paid",
    "mandatory required compulsory obligatory|optional voluntary", "inside|outside", "true|false",
    "legal lawful|illegal unlawful", "possible|impossible", "public|private", "male men man|female women woman",
    "positive|negative", "strong stronger strongest|weak weaker weakest", "majority|minority", "arrived entered|left "
    "departed", "include included includes including|exclude excluded excludes excluding", "support supported supports|"
    "oppose opposed opposes", "success succeeded successful|failure failed unsuccessful", "internal|external",
    "older oldest old|younger youngest young newest newer new",
    "abierta abierto abre|cerrada cerrado cierra", "antes|despues", "mas|menos", "mayor|menor", "maximo|minimo",
    "aumento aumentar aumentaron crecio|disminuyo disminuir bajo descendio", "permitido permite|prohibido prohibe",
    "primero primera|ultimo ultima", "norte|sur", "gano ganaron|perdio perdieron", "gratuito gratis|pagado",
    "obligatorio obligatoria|opcional voluntario", "dentro|fuera", "posible|imposible", "publico|privado",
    "buka dibuka|tutup ditutup", "sebelum|sesudah setelah", "lebih|kurang", "maksimum maksimal|minimum minimal",
    "naik meningkat bertambah|turun menurun berkurang", "boleh diizinkan|dilarang", "pertama|terakhir", "utara|selatan",
    "timur|barat", "menang|kalah", "wajib|opsional", "dalam|luar", "besar terbesar|kecil terkecil",
    "tinggi tertinggi|rendah terendah", "panjang terpanjang|pendek terpendek", "tua tertua|muda termuda",
    "awal|akhir", "atas|bawah", "mungkin|mustahil", "pria|wanita",
)  # fmt: skip


def _sides() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """For each word, those that say the same in its pair, and those that say the opposite."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for pair in _OPPOSITES:
        one, other = (frozenset(side.split()) for side in pair.split("|"))
        for words, against in ((one, other), (other, one)):
            for word in words:
                same, opposite = found.get(word, (frozenset(), frozenset()))
                found[word] = (same | words, opposite | against)
    return found


_SIDES = _sides()


@dataclass(frozen=True, slots=True)
class Negation:
    """A word that denies, where it stands, and the folded words that it may bear on."""

    word: str
    start: int
    bears_on: tuple[str, ...]
    before: tuple[str, ...]


def tokens(text: str) -> list[tuple[str, int]]:
    """The words of *text*, folded, with their places."""
    return [(folded(found[0]), found.start()) for found in _TOKEN.finditer(text)]


def negations(words: Sequence[tuple[str, int]], language: str) -> list[Negation]:
    """What is denied in *words* (`tokens`) in *language*; "not only" denies nothing."""
    denying, only = _WORDS.get(language, _WORDS["en"]), _NOT_ONLY.get(language, _NOT_ONLY["en"])
    found = []
    for at, (word, start) in enumerate(words):
        if word in denying or word.endswith("n't"):
            after = tuple(each for each, _ in words[at + 1 : at + 1 + _AFTER])
            if not after or after[0] not in only:
                before = tuple(each for each, _ in words[max(0, at - _BEFORE) : at])
                found.append(Negation(word, start, after, before))
    return found


def denying(words: Sequence[str], language: str) -> list[str]:
    """Those of *words*, which are folded, that deny."""
    known = _WORDS.get(language, _WORDS["en"])
    return [word for word in words if word in known or word.endswith("n't")]


def opposed(claim: set[str], source: set[str]) -> tuple[str, str] | None:
    """A word of *claim* and its opposite that stands in *source* instead; both are words folded."""
    for word in sorted((claim - source) & _SIDES.keys()):
        same, opposite = _SIDES[word]
        if not same & source and (there := opposite & source) and not opposite & claim:
            return word, min(there)
    return None
