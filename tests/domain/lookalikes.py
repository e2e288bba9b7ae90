"""Names and titles that look alike, or like what the service itself calls documents."""

import unicodedata

LONG = "Rules of the house " * 26
ALIKE = (
    "Fees 2026",
    "Fees/2026",
    "Fees\\2026",
    "fees 2026",
    "Fees 2026.",
    "Fees  2026",
    "Fees\u00a02026",
    "Fees\u200b2026",
    "\u202eFees 2026",
    "../Fees 2026",
    "Fees 2026.txt",
    "Gebühren",
    unicodedata.normalize("NFD", "Gebühren"),
    "GEBÜHREN",
    "Gebuhren",
    "رسوم",
    "👩\u200d🎓",
    "👩🎓",
    ".",
    "/",
    "CON",
    LONG[:200],
    LONG[:201],
    LONG[:200] + "?",
    "/srv/fees.md",
    "samples:fees.md",
    "web:https://example.org/fees",
    "removed:fees",
    "upload:fees",
    "'; DROP TABLE documents; --",
    "%",
    "_",
)
