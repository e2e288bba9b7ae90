"""Figures, days and moments as people write them in English, Spanish and Indonesian; other languages as English."""

import re
from datetime import date

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "id": "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember",
}
_DAY = {"en": "{} {} {}", "es": "{} de {} de {}", "id": "{} {} {}"}
_MONTH = {"en": "{} {}", "es": "{} de {}", "id": "{} {}"}
_YES, _NO = {"en": "yes", "es": "sí", "id": "ya"}, {"en": "no", "es": "no", "id": "tidak"}
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::\d\d(?:\.\d{1,9})?)?(?:[+-]\d\d:?\d\d|Z)?)?")
_YEAR_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_MIN_GROUPED = {"es": 10_000}  # in Spanish four digits stay together
_MIDNIGHT, _DECIMALS = "00:00", 2


def format_day(day: str, language: str) -> str:
    """2026-12-31 as people write it: 31 December 2026."""
    code = language if language in _MONTHS else "en"
    moment = date.fromisoformat(day)
    return _DAY[code].format(moment.day, _MONTHS[code].split()[moment.month - 1], moment.year)


def format_number(value: float, language: str, *, decimals: int = 0) -> str:
    """A figure with its thousands parted, to two decimals; one below 1 to four digits. It has at least *decimals*."""
    rounded = round(value, _DECIMALS) if abs(value) >= 1 else float(f"{value:.4g}")
    whole, _, rest = f"{rounded:,.6f}".rstrip("0").partition(".")
    rest = rest.ljust(decimals, "0")
    if abs(rounded) < _MIN_GROUPED.get(language, 1_000):
        whole = whole.replace(",", "")
    if language not in ("es", "id"):
        return f"{whole}.{rest}" if rest else whole
    whole = whole.replace(",", ".")
    return f"{whole},{rest}" if rest else whole


def format_cell(cell: str | float | bool | None, language: str) -> str:
    """What stands in a cell of a result; a text that is neither a day nor a month stays as it is."""
    if isinstance(cell, bool):
        words = _YES if cell else _NO
        return words.get(language, words["en"])
    if isinstance(cell, int | float):
        return format_number(cell, language)
    return "–" if cell is None else _format_moment(cell, language)


def _format_moment(text: str, language: str) -> str:
    try:
        if match := _MOMENT.fullmatch(text):
            day = format_day(match[1], language)
            return f"{day}, {match[2]}" if match[2] and match[2] != _MIDNIGHT else day
    except ValueError:  # a 31st of February
        return text
    if match := _YEAR_MONTH.fullmatch(text):
        code = language if language in _MONTHS else "en"
        return _MONTH[code].format(_MONTHS[code].split()[int(match[2]) - 1], match[1])
    return text
