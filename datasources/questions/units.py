"""The units of figures, by the names of columns and what is said of them: `Price (€)`, "In EUR.", `weight_kg`."""

import re
from collections.abc import Sequence

from datasources.questions.words import CURRENCIES, read_name

_IN_TEXT = re.compile(r"[€£$¥]|\b(?:EUR|USD|GBP|JPY|IDR|Rp)\b|[(\[](?:m²|m2|km²|km2|kg|km|cm|m)[)\]]")
_ENDINGS = {"kg": "kg", "km": "km", "cm": "cm", "m2": "m²", "km2": "km²"}
SIGNS = frozenset(CURRENCIES.values())


def find_unit(name: str, texts: Sequence[str]) -> str:
    """The sign of a currency or a unit of the column *name*, of which *texts* speak; "" for none, or for several."""
    units = {_unify(each.strip("()[]")) for text in texts for each in _IN_TEXT.findall(text)}
    if units:
        return units.pop() if len(units) == 1 else ""
    last = (read_name(name) or [""])[-1]
    return _ENDINGS.get(last) or CURRENCIES.get(last, "")


def _unify(unit: str) -> str:
    return CURRENCIES.get(unit.lower()) or _ENDINGS.get(unit, unit)
