"""Text of others, made fit for a terminal: file names, titles, names that callers gave.

A terminal obeys control characters: they can rewrite what stands above, set its title or fill the clipboard. Marks that
reorder text make a name look like another one, and invisible characters hide parts of it.
"""

import unicodedata

# What a terminal or a page obeys: control characters but blanks, and those that reorder the text after them.
_CONTROLS = dict.fromkeys(
    [*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_JOINERS = "\u200c\u200d"  # between letters of Persian and Indic words, and inside emoji


def make_printable(text: str) -> str:
    """*text* with "?" for each character that shows nothing, ends the line, or changes how others are shown."""
    return "".join(one if _is_visible(one) else "?" for one in text)


def drop_controls(text: str) -> str:
    """*text* without control characters but blanks, and without those that reorder what stands beside them."""
    return text.translate(_CONTROLS)


def _is_visible(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
