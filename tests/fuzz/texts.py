"""Texts such as strangers could send: of every Unicode plane, malformed, flooded with one thing. Each has a number."""

import random
import sys
from collections.abc import Callable

SHAPES: dict[str, "Shape"] = {}
Shape = Callable[[random.Random, int], str]

_PLANES = 17
_MARKS = "".join(map(chr, (*range(0x300, 0x370), *range(0x591, 0x5BE), *range(0x1AB0, 0x1ABE), *range(0x20D0, 0x20F1))))
_EXPANDING = "\ufdfa\ufdfb\u3300\u33c6\ufb03\u1e9b\u0390\u1fb7\uf900\u2f800\u01c4\u0149"
_CONTROLS = (
    "\0\x01\x07\x08\x0b\x0c\x1b\x7f\x85\xad\u200b\u200e\u200f\u202a\u202e\u2028\u2029\u2066\u2069\ufeff\ufffe\uffff"
)
_RTL = "".join(map(chr, (*range(0x5D0, 0x5EB), *range(0x621, 0x64B), *range(0x710, 0x730), 0x202B, 0x202E, 0x2067)))
_PEOPLE = ("\U0001f468", "\U0001f469", "\U0001f467", "\U0001f9d1", "❤️", "\U0001f3f3️", "\U0001f308")
_MODEL_WORDS = ("<s>", "</s>", "<pad>", "<unk>", "<mask>", "▁", "query: ", "passage: ", "##", "@@", "\u2581\u2581")
_WORDS = (
    "library",
    "perpustakaan",
    "biblioteca",
    "850.000",
    "Rp",
    "el",
    "the",
    "dan",
    "ñandú",
    "图书馆",
    "ห้องสมุด",
    "도서관",
)


def text_of(number: int, *, longest: int) -> tuple[str, str]:
    """Text *number*, always the same for the same number, and the name of its shape; at most *longest* characters."""
    chance = random.Random(f"text {number}")
    name = list(SHAPES)[number % len(SHAPES)]
    size = chance.choice(
        (0, 1, 2, chance.randrange(64), int(longest ** chance.random()), int(longest ** chance.random()))
    )
    return name, SHAPES[name](chance, size)[:longest]


def _shape(make: Shape) -> Shape:
    SHAPES[make.__name__] = make
    return make


@_shape
def any_plane(chance: random.Random, size: int) -> str:
    """Code points of one plane, assigned or not, without surrogates."""
    first = chance.randrange(_PLANES) << 16
    return _points(chance, size, first, first + 0xFFFF)


@_shape
def any_block(chance: random.Random, size: int) -> str:
    """Neighbours: letters of one script, most likely."""
    first = chance.randrange(0, 0x30000, 128)
    return _points(chance, size, first, first + 255)


@_shape
def private_use(chance: random.Random, size: int) -> str:
    """Characters that nobody has given a meaning."""
    return _points(chance, size, *chance.choice(((0xE000, 0xF8FF), (0xF0000, 0xFFFFF), (0x100000, 0x10FFFF))))


@_shape
def lone_surrogates(chance: random.Random, size: int) -> str:
    """Halves of pairs, as JSON can spell them, between letters."""
    return "".join(chr(chance.randint(0xD800, 0xDFFF)) if chance.random() < 0.3 else "a" for _ in range(size))


@_shape
def controls(chance: random.Random, size: int) -> str:
    """NUL and others that no text should hold, between words."""
    return _of(chance, size, (*_CONTROLS, "word", " "))


@_shape
def combining_flood(chance: random.Random, size: int) -> str:
    """Few letters under many accents, in descending and any order."""
    marks = "".join(chance.choices(_MARKS, k=size))
    return "e" + ("".join(sorted(marks, reverse=True)) if chance.random() < 0.5 else marks)


@_shape
def expanding(chance: random.Random, size: int) -> str:
    """Characters that become many in a normal form."""
    return _of(chance, size, (*_EXPANDING, " ") if chance.random() < 0.5 else chance.choice(_EXPANDING))


@_shape
def hangul_parts(chance: random.Random, size: int) -> str:
    """Letters of syllables that are put together, or cannot be."""
    return _points(chance, size, 0x1100, 0x11FF)


@_shape
def one_long_token(chance: random.Random, size: int) -> str:
    """A word without an end."""
    return chance.choice("aZ0_ßжあ中กش\u0e33\U0001f600\U00020000") * size


@_shape
def one_code_point(chance: random.Random, size: int) -> str:
    """Whatever code point there is, again and again."""
    return _points(chance, 1, 0, sys.maxunicode) * size


@_shape
def right_to_left(chance: random.Random, size: int) -> str:
    """Hebrew, Arabic and Syriac with marks of direction."""
    return _of(chance, size, (*_RTL, " "))


@_shape
def emoji_sequences(chance: random.Random, size: int) -> str:
    """People and flags joined to one another, with skin tones and selectors."""
    joiners = ("\u200d", "\ufe0f", "\U0001f3fd", "\U0001f1ee\U0001f1e9", "\U000e0067\U000e007f")
    return _of(chance, size, (*_PEOPLE, *joiners))


@_shape
def many_short_tokens(chance: random.Random, size: int) -> str:
    """As many words, marks and figures as there is room for."""
    pool = tuple(chance.choice("abcxyz0123456789.,;:!?-'\"()[]") for _ in range(12))
    return " ".join(chance.choices(pool, k=size // 2))


@_shape
def white_space(chance: random.Random, size: int) -> str:
    """Spaces of all kinds and hardly a word."""
    return _of(chance, size, (*" \t\n\r\x0b\x0c\x1c\x85\xa0\u1680\u2003\u2028\u202f\u3000" * 4, "x"))


@_shape
def words_of_the_model(chance: random.Random, size: int) -> str:
    """What tokenizers give a meaning of its own."""
    return _of(chance, size, (*_MODEL_WORDS, " ", "word"))


@_shape
def mixed_scripts(chance: random.Random, size: int) -> str:
    """Words of many languages, with and without spaces."""
    return _of(chance, size, (*_WORDS, " ", " ", ". ", "\n"))


@_shape
def everything(chance: random.Random, size: int) -> str:
    """Pieces of all the others."""
    others = [make for name, make in SHAPES.items() if name != "everything"]
    text = ""
    while len(text) < size:
        text += chance.choice(others)(chance, min(size - len(text), 1 + chance.randrange(200))) or " "
    return text


def _points(chance: random.Random, size: int, first: int, last: int) -> str:
    points = (chance.randint(first, min(last, sys.maxunicode)) for _ in range(size))
    return "".join(chr(point) if not 0xD800 <= point <= 0xDFFF else "\ufffd" for point in points)


def _of(chance: random.Random, size: int, pieces: tuple[str, ...] | str) -> str:
    return "".join(chance.choices(pieces, k=size))
