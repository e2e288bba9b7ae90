"""Sentences about results of queries in three languages, true ones and such with a planted wrong figure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datasources.result_columns import add_totals
from utils.query_tables import Cell, QueryColumn, QueryTable

ONES = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
    "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis "
    "veintisiete veintiocho veintinueve",
    "id": "nol satu dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas",
}
TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
}
HUNDREDS = "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos"


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence, whether a wrong figure was planted in it, and of what kind it is."""

    text: str
    is_planted: bool
    kind: str
    language: str
    table: QueryTable


def spell(number: int, language: str) -> str:
    """A whole number below 1,000 in words."""
    ones = ONES[language].split()
    if number < len(ones):
        return ones[number]
    if language == "id":
        return _spell_indonesian(number)
    tens = TENS[language].split()
    if number < 100:
        ten, one = divmod(number, 10)
        between = "-" if language == "en" else " y "
        return tens[ten - 2] + (between + ones[one] if one else "")
    hundred, rest = divmod(number, 100)
    if language == "en":
        return f"{ones[hundred]} hundred" + (f" and {spell(rest, 'en')}" if rest else "")
    return ("cien" if number == 100 else HUNDREDS.split()[hundred - 1]) + (f" {spell(rest, 'es')}" if rest else "")


def _spell_indonesian(number: int) -> str:
    if number < 20:
        return f"{spell(number - 10, 'id')} belas"
    if number < 100:
        ten, one = divmod(number, 10)
        return f"{spell(ten, 'id')} puluh" + (f" {spell(one, 'id')}" if one else "")
    hundred, rest = divmod(number, 100)
    head = "seratus" if hundred == 1 else f"{spell(hundred, 'id')} ratus"
    return head + (f" {spell(rest, 'id')}" if rest else "")


def write(value: float, language: str) -> str:
    """A number as the language writes it, with a decimal where it has some."""
    text = f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


NAMES = (
    "Bandung",
    "Medan",
    "Surabaya",
    "Sevilla",
    "Málaga",
    "Leeds",
    "Pump A1",
    "Motor B2",
    "Line 3 North",
    "Casa Ruiz",
)
# Column, what it counts in each language, a unit of another kind in each, largest value, number of decimals.
MEASURES = {
    "hours": (("hours", "horas", "jam"), ("km", "km", "km"), 4_000, 0, "SUM"),
    "downtime_minutes": (("minutes", "minutos", "menit"), ("kg", "kg", "kg"), 900, 0, ""),
    "machines": (("machines", "máquinas", "mesin"), ("km", "km", "km"), 400, 0, "COUNT"),
    "revenue_eur": (("euros", "euros", "euro"), ("dollars", "dólares", "dolar"), 90_000, 1, "SUM"),
    "weight_kg": (("kg", "kg", "kg"), ("hours", "horas", "hari"), 700, 1, ""),
}
LANGUAGES = ("en", "es", "id")
ONE = {
    "en": ("{a} has {x} {u} [1].", "In {a} there were {x} {u} [1].", "{x} {u} were recorded for {a} [1].",
           "| {a} | {x} {u} | [1]", "With {x} {u}, {a} is in the list [1]."),
    "es": ("{a} tiene {x} {u} [1].", "En {a} hubo {x} {u} [1].", "Se registraron {x} {u} en {a} [1].",
           "- {a}: {x} {u} [1]", "Con {x} {u}, {a} está en la lista [1]."),
    "id": ("{a} memiliki {x} {u} [1].", "Di {a} tercatat {x} {u} [1].", "Ada {x} {u} di {a} [1].", "* {a}: {x} {u} [1]",
           "Dengan {x} {u}, {a} ada di daftar [1]."),
}  # fmt: skip
TWO = {
    "en": ("{a} has {x} {u} and {b} {y} {u} [1].", "{a} and {b} have {x} and {y} {u} respectively [1].",
           "There were {x} {u} in {a}, while {b} had {y} [1]."),
    "es": ("{a} tiene {x} {u} y {b} {y} {u} [1].", "{a} y {b} tienen {x} y {y} {u} respectivamente [1].",
           "Hubo {x} {u} en {a}, mientras {b} tuvo {y} [1]."),
    "id": ("{a} memiliki {x} {u} dan {b} {y} {u} [1].", "{a} dan {b} memiliki masing-masing {x} dan {y} {u} [1].",
           "Ada {x} {u} di {a}, sedangkan {b} memiliki {y} [1]."),
}  # fmt: skip
SUM = {
    "en": ("In total there are {x} {u} [1].", "All of them together have {x} {u} [1].", "The total is {x} {u} [1]."),
    "es": ("En total hay {x} {u} [1].", "Entre todos suman {x} {u} [1].", "El total es de {x} {u} [1]."),
    "id": ("Totalnya {x} {u} [1].", "Secara keseluruhan ada {x} {u} [1].", "Jumlahnya {x} {u} secara total [1]."),
}
MEAN = {
    "en": ("The average is {x} {u} [1].", "On average there are {x} {u} [1].", "They have {x} {u} on average [1]."),
    "es": ("El promedio es de {x} {u} [1].", "De media hay {x} {u} [1].", "Tienen {x} {u} en promedio [1]."),
    "id": ("Rata-rata ada {x} {u} [1].", "Rata-ratanya {x} {u} [1].", "Secara rata-rata tercatat {x} {u} [1]."),
}
MORE = {
    "en": "{a} has {x} {u} more than {b} [1].", "es": "{a} tiene {x} {u} más que {b} [1].",
    "id": "Selisih antara {a} dan {b} adalah {x} {u} [1].",
}  # fmt: skip
SHARE = {
    "en": "{a} has {x} % of all {u} [1].", "es": "{a} tiene el {x} % de todas las {u} [1].",
    "id": "{a} memiliki {x} % dari semua {u} [1].",
}  # fmt: skip
COUNTED = {
    "en": "The list has {x} rows: {a} is one of them [1].", "es": "La lista tiene {x} filas: {a} es una de ellas [1].",
    "id": "Daftar ini berisi {x} baris: {a} salah satunya [1].",
}  # fmt: skip
ABOUT = {"en": "about", "es": "unas", "id": "sekitar"}


def make_table(chance: random.Random, measure: str) -> QueryTable:
    """A result of three to seven rows with a name and a figure each."""
    _, _, largest, decimals, function = MEASURES[measure]
    names = chance.sample(NAMES, chance.randint(3, 7))
    values = [round(chance.uniform(largest / 40, largest), decimals) for _ in names]
    rows = [(name, value if decimals else int(value)) for name, value in zip(names, values, strict=True)]
    return make_result(("name", measure), rows, "How much for each?", **{measure: function})


def make_result(names: Sequence[str], rows: Sequence[Sequence[Cell]], question: str, **functions: str) -> QueryTable:
    """A result as the tool gives it; *functions*: by what a column was computed."""
    columns = tuple(QueryColumn(name, name, functions.get(name, "")) for name in names)
    totalled = tuple(add_totals(column, [row[at] for row in rows]) for at, column in enumerate(columns))
    return QueryTable("Plants", "SELECT 1", totalled, tuple(map(tuple, rows)), len(rows), False, (question,))


def make_cases(seed: int, rounds: int) -> Iterator[Case]:
    """Cases over results of every measure in three languages, the same for the same *seed*."""
    chance = random.Random(seed)
    for _ in range(rounds):
        for measure in MEASURES:
            table = make_table(chance, measure)
            for at, language in enumerate(LANGUAGES):
                units, wrong_units, *_ = MEASURES[measure]
                yield from _Maker(chance, table, language, units[at], wrong_units[at]).make()


@dataclass(frozen=True, slots=True)
class _Maker:
    chance: random.Random
    table: QueryTable
    language: str
    unit: str
    wrong_unit: str

    def make(self) -> Iterator[Case]:
        """A true and a planted sentence of each kind."""
        (a, x), (b, y) = ((str(name), float(str(value))) for name, value in self.chance.sample(self.table.rows, 2))
        if x == y:
            return
        column, say = self.table.columns[1], self.say
        assert column.total is not None
        assert column.mean is not None
        one, two = self.pick(ONE), self.pick(TWO)
        mean = round(column.mean, 1)
        yield self.case("cell", False, one, a=a, x=say(x))
        yield self.case("another row", True, one, a=a, x=say(y))
        yield self.case("another unit", True, one, a=a, x=say(x), u=self.wrong_unit)
        yield self.case("factor", True, one, a=a, x=say(self.scale(x)))
        yield self.case("two", False, two, a=a, x=say(x), b=b, y=say(y))
        yield self.case("two swapped", True, two, a=a, x=say(y), b=b, y=say(x))
        yield self.case("sum", False, self.pick(SUM), x=say(column.total))
        yield self.case("mean", False, self.pick(MEAN), x=say(mean))
        yield self.case("sum for mean", True, self.pick(MEAN), x=say(column.total))
        yield self.case("mean for sum", True, self.pick(SUM), x=say(mean))
        yield self.case("rounded", False, one, a=a, x=f"{ABOUT[self.language]} {say(self.round(x))}")
        high, low = (a, b) if x > y else (b, a)
        yield self.case("difference", False, MORE[self.language], a=high, b=low, x=say(round(abs(x - y), 1)))
        share = round(100 * x / column.total, 1)
        yield self.case("share", False, SHARE[self.language], a=a, x=say(share))
        yield self.case("share of another row", True, SHARE[self.language], a=b, x=say(share))
        yield self.case("count", False, COUNTED[self.language], a=a, x=str(len(self.table.rows)))
        if x == int(x) and x < 1000:
            yield self.case("words", False, one, a=a, x=spell(int(x), self.language))
        if y == int(y) and y < 1000:
            yield self.case("words of another row", True, one, a=a, x=spell(int(y), self.language))

    def case(self, kind: str, is_planted: bool, template: str, **values: str) -> Case:
        return Case(template.format(**{"u": self.unit, **values}), is_planted, kind, self.language, self.table)

    def pick(self, templates: dict[str, tuple[str, ...]]) -> str:
        return self.chance.choice(templates[self.language])

    def say(self, value: float) -> str:
        return write(value, self.language)

    def scale(self, value: float) -> float:
        return value * self.chance.choice((10, 100, 1000, 0.1))

    def round(self, value: float) -> float:
        place = 10 ** (len(str(int(value))) - 2)
        return float(round(value / place) * place) if value >= 10 else float(round(value))
