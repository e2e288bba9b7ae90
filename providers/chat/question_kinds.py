"""What kind of thing a question asks for, and which kinds a sentence gives: an amount of money, an hour, a list …

By patterns in English, Spanish and Indonesian, folded; a question in another language, or one that asks for none of
these, asks for nothing that can be told.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from utils.facts.dates import find_dates
from utils.facts.folding import fold
from utils.facts.names import find_names
from utils.facts.numbers import Number, find_numbers

MONEY, CLOCK, DAY, DURATION, PERCENT, PHONE, EMAIL, PERSON, PLACE, NUMBER, LIST = (
    "money", "clock", "day", "duration", "percent", "phone", "email", "person", "place", "number", "list",
)  # fmt: skip

_COST = (
    r"cost|price|fee|fare|charge|pay|paid|paying|deposit|fine|dues|ticket|cuesta|cuestan|costo|coste|costar|vale|valen"
    r"|precio|tarifa|tasa|pago|pagar|paga|pagan|pagaria|cobra|cobran|cobrais|sale|multa|cuota|abono|billete|entrada"
    r"|harga|harganya|biaya|biayanya|tarif|tarifnya|bayar|bayarnya|membayar|ongkos|ongkosnya|iuran|iurannya|sewa|sewanya"
    r"|kena|denda|dendanya|tiket|tiketnya|karcis|duit|uang"
)
_SPAN = (
    r"time|long|longer|often|minutes?|hours?|days?|weeks?|months?|years?|nights?|tiempo|minutos?|horas?|dias?|semanas?"
    r"|meses|anos|noches?|tarda|tardan|dura|duran|lama|menit|hari|minggu|bulan|tahun|malam"
)
_WAIT = r"esper\w+|antelacion|antes|tarda\w*|dura\w*|plazo|caduc\w+"
_UNPRICED = rf"(?! (?:{_SPAN}|jam|kali|persen|orang|people|personas|veces|times)\b)"
_HOW_MUCH = re.compile(rf"\b(?:how much|cuant[oa]s?|berapa(?:kah)?)\b{_UNPRICED}")
_PRICE = re.compile(rf"\b(?:{_COST})s?\b|\bhow much (?:extra|for|is|are|r|do|does|will|would|to|per)\b")
_WHAT, _AMOUNT = re.compile(r"\b(?:what|whats)\b"), re.compile(r"\b(?:cost|price|fee|fare|charge|fine)s?\b")
# Not where it only joins clauses: "what may I bring when I visit".
_WHEN = (
    r"(?:^|[,.;:?!¿] ?|\b(?:and|y|dan|until|till|til|since|hasta|desde|para|sampai|sejak) )(?:when|cuando)\b"
    r"|\bwhen (?:is|are|was|do|does|did|can|will|should|must)\b|\bkapan\b"
)
# What is, is at a time, and not within a span: "when are the exams", but "when must I pay".
_WHEN_IS = r".{0,8}\b(?:when|cuando) (?:is|are|was|were|es|son|fue|fueron|sera|seran)\b(?!.{0,100} due\b)"
_ASKS = {
    CLOCK: re.compile(
        rf"{_WHEN}|\b(?:what|which) (?:time|hours?)\b|\b(?:until|till|til) what\b|\bopening hours\b"
        r"|^(?!how |what |in |which )(?:[\w'’-]+ ){1,2}hours\??$|\bque horas?\b"
        r"|\bhorario\b|\b(?:jam|pukul) berapa\b|\bjam (?:buka|tutup|besuk)\w*"
    ),
    DAY: re.compile(
        rf"{_WHEN}|\b(?:what|which) (?:days?|date)\b|\bque (?:dias?|fechas?)\b|\bhari apa\b|\btanggal berapa\b"
    ),
    DURATION: re.compile(
        rf"(?!{_WHEN_IS})(?:{_WHEN})|\bhow (?:much time|long|often)\b"
        rf"|\bhow many (?:{_SPAN})\b|\bcuant[oa]s? (?:{_SPAN})\b"
        rf"|\bcada cuanto\b|\bcuanto\b(?=.{{0,100}}\b(?:{_WAIT})\b)|\bque plazo\b|\bberapa (?:{_SPAN})\b"
    ),
    PERCENT: re.compile(
        r"\b(?:interest|discount|percent\w*|rate|interes|descuento|porcentaje|bunga|bunganya|diskon|persen|potongan)\b"
    ),
    PHONE: re.compile(
        r"\b(?:what number|number (?:to|do|can|should)|phone|telephone|call|ring|telefono|llamar|llamo|telepon|hubungi"
        r"|menelepon|nomor (?:telepon|telp|hp|wa))\b"
    ),
    EMAIL: re.compile(
        r"\be-?mail (?:address|of|for)\b|\bwhat(?: i)?s .{0,30}\be-?mail\b|\bcorreo (?:electronico )?de\b"
        r"|\b(?:alamat (?:e-?mail|surel)|(?:e-?mail|surel)(?:nya)? apa)\b"
    ),
    PERSON: re.compile(r"\b(?:who|whom|whose|quien|quienes|siapa|siapakah)\b"),
    # Not where it only joins clauses: "the room where I sleep".
    PLACE: re.compile(
        r"(?:^|[,.;:?!¿] ?|\b(?:and|y|dan|from|know|sabes?|a|de) )(?:wheres?|donde)\b"
        r"|\bwhere (?:is|are|was|do|does|did|can|will|should|must)\b|\b(?:di|ke|dari) ?mana(?:kah)?\b"
        r"|\bmana (?:letak|lokasi)\w*|\b(?:what|which) (?:address|room|building|floor|place|desk|office|window)\b"
        r"|\b(?:que|cual) (?:direccion|sala|edificio|planta|piso|ventanilla)\b|\balamat\w*|\bdirecciones?\b"
    ),
    LIST: re.compile(
        r"\b(?:what (?:stuff|things|documents|papers|all|else|am i|do i (?:all )?(?:have to|need))|full list|list of"
        r"|which (?:documents|things)|que (?:cosas|documentos|papeles|llevo|traigo)|que es lo que no|apa (?:saja|aja)"
        r"|que (?:tengo|tenemos|hay) que (?:llevar|traer|presentar|meter)|(?:berkas|dokumen|syarat) apa)\b"
    ),
    NUMBER: re.compile(
        r"\bhow (?:many|far|old|high|large|big|tall|fast|deep|much)\b|\bwhat (?:year|percent\w*|number|age|floor|bus)\b"
        r"|\bcuant[oa]s?\b|\bque (?:ano|numero|edad|planta|piso)\b|\bberapa(?:kah)?\b"
    ),
}
_LOOKED_AT = 500  # characters of a question
_MONEY_UNITS = frozenset(("USD", "EUR", "GBP", "IDR", "JPY", "SGD"))
_SPAN_UNITS = frozenset(("second", "minute", "hour", "day", "week", "month", "year"))
_FREE = re.compile(
    r"\b(?:free|no charge|without charge|nothing|no cost|exempt|gratis\w*|gratuit[oa]s?|sin (?:coste|costo|cargo)"
    r"|no cuesta|exent[oa]s?|tanpa biaya|cuma-cuma|bebas|dibebaskan)\b"
)
_HOUR = re.compile(r"\b(?:noon|midnight|mediodia|medianoche|(?:pukul|jam) \d{1,2}|\d{1,2} h)\b")
_SITE = re.compile(
    r"\b(?:room|floor|building|hall|street|road|lane|avenue|square|quay|desk|counter|cashier|reception|entrance"
    r"|gate|address|located|opposite|next to|beside|behind|downstairs|upstairs|basement|online|website|portal|app"
    r"|sala|aula|planta|piso|edificio|calle|avenida|plaza|paseo|ventanilla|mostrador|recepcion|taquilla|entrada"
    r"|puerta|direccion|situad[oa]s?|ubicad[oa]s?|frente a|junto a|detras|sotano|en linea|web"
    r"|ruang|ruangan|lantai|gedung|aula|jalan|jl|loket|meja|kasir|pintu|alamat|terletak|berada|bertempat"
    r"|seberang|sebelah|samping|belakang|daring|situs|laman|aplikasi)\b"
)
_EMAIL = re.compile(r"\S@\w")
_TELEPHONE = re.compile(r"\+?\(?\d(?:[ ().-]{0,2}\d){5,14}\b")


@lru_cache(1024)
def find_kinds(question: str) -> frozenset[str]:
    """The kinds of things that *question* asks for, empty where that cannot be told."""
    plain = " ".join(fold(question[:_LOOKED_AT]).split())
    found = {kind for kind, pattern in _ASKS.items() if pattern.search(plain)}
    what = _WHAT.search(plain)
    if (_HOW_MUCH.search(plain) and _PRICE.search(plain)) or (what and _AMOUNT.search(plain, what.end())):
        found.add(MONEY)
    # A more exact kind is meant where there is one: "how much is a ticket", "berapa lama".
    return frozenset(found - {NUMBER} if found & {MONEY, CLOCK, DURATION, PERCENT} else found)


def find_text_kinds(text: str) -> frozenset[str]:
    """The kinds of things that *text* gives; whether it stands in a list is not seen in it."""
    return frozenset(_give(text, fold(text)))


def _give(text: str, plain: str) -> Iterator[str]:
    numbers = find_numbers(text)
    units = {number.unit for number in numbers}
    if units & _MONEY_UNITS or _FREE.search(plain):
        yield MONEY
    if any(_is_hour(number) for number in numbers) or _HOUR.search(plain):
        yield CLOCK
    if find_dates(text):
        yield DAY
    if units & _SPAN_UNITS or any(_is_span(text, number) for number in numbers):
        yield DURATION
    if "%" in units:
        yield PERCENT
    if not units & _MONEY_UNITS and _TELEPHONE.search(text):
        yield PHONE
    if _EMAIL.search(text):
        yield EMAIL
    if any(not name.opens or name.follows for name in find_names(text)):
        yield PERSON
    if _SITE.search(plain):
        yield PLACE
    if any(not number.is_weak for number in numbers):
        yield NUMBER


def _is_hour(number: Number) -> bool:
    return not number.unit and any(kind == "t" for kind, _ in number.keys)


def _is_span(text: str, number: Number) -> bool:
    """Whether hours are counted in Indonesian, where the word also tells the hour: "24 jam"."""
    return text[number.end : number.end + 4].casefold() == " jam"
