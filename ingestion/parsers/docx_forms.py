"""Form fields of Word documents whose value is no text: ticked boxes and chosen entries."""

from lxml import etree

from ingestion.parsers.docx_styles import TRUE, parse_number
from ingestion.parsers.ooxml import find_child, find_value, get_attribute, get_local_name, iter_children

TICKED, UNTICKED = "☒", "☐"
# Boxes and ticks of the fonts of symbols that Word uses for them, by the last two digits of the character's number.
SYMBOLS = {
    "Wingdings": {"6F": UNTICKED, "A8": UNTICKED, "FC": "✓", "FD": TICKED, "FE": "☑", "78": TICKED},
    "Wingdings 2": {"A3": UNTICKED, "2A": UNTICKED, "50": "✓", "51": TICKED, "52": "☑", "53": TICKED, "54": TICKED},
}


def read_field(field: etree._Element) -> str:
    """The value of the form field that begins with *field*; texts that were filled in follow it as any text does."""
    data = find_child(field, "ffData")
    box, entries = find_child(data, "checkBox"), find_child(data, "ddList")
    if box is not None:
        return TICKED if _is_ticked(box) else UNTICKED
    return _find_chosen(entries) if entries is not None else ""


def read_symbol(symbol: etree._Element) -> str:
    """A character of a font of symbols, where it is one of those that forms are filled in with."""
    return SYMBOLS.get(get_attribute(symbol, "font") or "", {}).get(
        (get_attribute(symbol, "char") or "").upper()[-2:], ""
    )


def _is_ticked(box: etree._Element) -> bool:
    name = "checked" if find_child(box, "checked") is not None else "default"
    return find_child(box, name) is not None and find_value(box, name) in TRUE


def _find_chosen(entries: etree._Element) -> str:
    texts = [
        get_attribute(entry, "val") or "" for entry in iter_children(entries) if get_local_name(entry) == "listEntry"
    ]
    place = parse_number(find_value(entries, "result") or find_value(entries, "default")) or 0
    return texts[place] if place < len(texts) else ""
