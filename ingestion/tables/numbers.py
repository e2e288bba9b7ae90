"""Numbers as people write them: with either decimal mark, thousands separators, a currency, or in percent."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_GAPS = " '’\u00a0\u202f\u2009"
_WITHOUT = {mark: str.maketrans("", "", _GAPS + other) for mark, other in ((".", ","), (",", "."))}
_MAX_DIGITS = 18  # of a whole number: more are those of a code, and do not fit into one
_CODES = """
AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR JPY KRW MAD MXN MYR NGN NOK NZD PEN PHP
PLN RON RUB SAR SEK SGD THB TRY TWD UAH USD UYU VND ZAR
"""
_CURRENCY = (
    rf"(?:{'|'.join(_CODES.split())}|(?:US|AU|CA|NZ|HK|SG|MX|R|S/)?\$|Rp\.?|RM|S/\.?|kr\.?|zł|Kč|Fr\.?|[€£¥₹₩₽₫฿₺₪₱₦])"
)
# Each part is bounded: else a long text could be looked through again from each of its places.
_POINT = re.compile(
    rf"(?:\d{{1,3}}(?:,\d{{3}}){{1,8}}|\d{{1,2}}(?:,\d\d){{1,8}},\d{{3}}|\d{{1,3}}(?:[{_GAPS}]\d{{3}}){{1,8}}|\d{{1,40}})"
    r"(?:\.\d{0,40})?|\.\d{1,40}"
)
_COMMA = re.compile(
    rf"(?:\d{{1,3}}(?:\.\d{{3}}){{1,8}}|\d{{1,3}}(?:[{_GAPS}]\d{{3}}){{1,8}}|\d{{1,40}})(?:,\d{{0,40}})?|,\d{{1,40}}"
)
_NUMBER = re.compile(
    rf"^(?P<open>\()?(?P<sign>[-+−])?[{_GAPS}]?(?P<before>{_CURRENCY})?[{_GAPS}]?(?P<sign_after>[-−])?"
    rf"(?P<body>[\d.,][\d.,{_GAPS}]{{0,40}}?)(?P<power>[eE][-+]?\d{{1,3}})?"
    rf"[{_GAPS}]?(?P<after>{_CURRENCY})?(?P<percent>%)?(?P<close>\))?"
)  # fmt: skip
# With three digits behind it, a point may part thousands.
_PLAIN, _POINT_ALONE = re.compile(r"-?(?:0|[1-9][0-9]{0,11})\.(?:[0-9]{1,2}|[0-9]{4,12})"), frozenset(".")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Written:
    """A text that is a number, if `marks` holds the decimal mark that is meant: ".", "," or both."""

    body: str
    is_negative: bool
    marks: frozenset[str]
    unit: str  # a currency, "%", or ""

    def to_number(self, mark: str) -> int | float:
        """Its value, with *mark* for decimals."""
        plain = self.body.translate(_WITHOUT[mark]).replace(mark, ".")
        value: int | float = int(plain) if plain.isdigit() else float(plain)
        return -value if self.is_negative else value


def read_number(text: str) -> Written | None:
    """The number that *text* is; None where it is none, or a code: with a zero before it, or very many digits."""
    if _PLAIN.fullmatch(text):  # as most are, in a tenth of the time
        return Written(text.removeprefix("-"), text[0] == "-", _POINT_ALONE, "")
    number = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if number is None or bool(number["open"]) != bool(number["close"]) or (number["sign"] and number["sign_after"]):
        return None
    body, power, unit = number["body"], number["power"] or "", number["before"] or number["after"] or ""
    if (number["before"] and number["after"]) or (unit and number["percent"]):
        return None
    digits = sum(each.isdigit() for each in body)
    is_code = (len(body) > 1 and body[0] == "0" and body[1].isdigit()) or (digits > _MAX_DIGITS and body.isdigit())
    if is_code or (number["sign"] == "+" and digits > 6):  # as telephone numbers have it
        return None
    marks = frozenset(mark for mark, form in ((".", _POINT), (",", _COMMA)) if form.fullmatch(body))
    if power and not marks.issuperset("."):
        return None
    is_negative = bool(number["open"]) or (number["sign"] or number["sign_after"] or "+") != "+"
    return Written(body + power, is_negative, marks, unit or number["percent"] or "") if marks else None


@dataclass(slots=True)
class NumberFacts:
    """What the numbers of a column have in common. `marks` are those that all of them can be read with."""

    marks: frozenset[str] = frozenset(".,")
    units: set[str] = field(default_factory=set)
    fractions: set[str] = field(default_factory=set)  # the marks that, were they the decimal one, would part some

    def add(self, written: Written) -> bool:
        """Take one in; False where it does not go with the others: another unit, or another mark."""
        self.marks &= written.marks
        self.units.add(written.unit)
        self.fractions.update(".," if "e" in written.body.lower() else set(written.body) & set(".,"))
        return bool(self.marks) and len(self.units) == 1

    @property
    def is_doubtful(self) -> bool:
        """Whether a mark in them may be that of decimals or of thousands."""
        return len(self.marks) > 1 and bool(self.fractions) and not self.unit.startswith("Rp")

    @property
    def unit(self) -> str:
        """What stands with each of them."""
        return next(iter(self.units), "")

    def choose_mark(self, usual: str) -> str:
        """The decimal mark that is meant; *usual* where both could be."""
        if self.unit.startswith("Rp") and "," in self.marks:
            return ","
        return usual if usual in self.marks else next(iter(self.marks))


def find_decisive_mark(facts: Iterable[NumberFacts], usual: str) -> str:
    """The mark that most columns leave no doubt about, else *usual*."""
    decisive = [next(iter(each.marks)) for each in facts if len(each.marks) == 1]
    points = decisive.count(".")
    return usual if points * 2 == len(decisive) else "." if points * 2 > len(decisive) else ","
