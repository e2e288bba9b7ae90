"""Text of others, made fit for a terminal: file names, titles, names that callers gave.

A terminal obeys control characters: they can rewrite what stands above, set its title or fill the clipboard. Marks that
reorder text make a name look like another one, and invisible characters hide parts of it.
"""

import unicodedata

_JOINERS = "\u200c\u200d"  # between letters of Persian and Indic words, and inside emoji


def make_printable(text: str) -> str:
    """*text* with "?" for each character that shows nothing, ends the line, or changes how others are shown."""
    return "".join(one if _is_visible(one) else "?" for one in text)


def _is_visible(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
