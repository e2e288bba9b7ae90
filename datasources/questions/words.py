"""Words of questions in English, Spanish and Indonesian: what says nothing, what says how to ask, and other forms."""

import re
import unicodedata

from utils.language import detect_language

_STOP = {
    "en": """
a an the of in on at for to from is are was were be been do does did has have had there that which what whats who whose
please give me show tell list find return get name names all any every and with by it its their they we our you i can
could would s this these those as located lie lies live lives found contain contains exist exists called named within
recorded many much rows entries records more greater less fewer higher lower when how
""",
    "es": """
un una el la los las lo del de en al por para con es son esta estan hay que cual cuales quien quienes tiene tienen
muestra muestrame dime dame enumera lista y se nuestro nuestros tenemos su sus todos todas nombre nombres como encuentra
mayor cuando hubo favor fue fueron era eran sera seran ser
""",
    "id": """
yang di ke dari untuk dan adalah apa mana siapa ada apakah sebutkan tampilkan daftar nama semua oleh pada dengan
dimiliki memiliki kita itu kami dalam lebih kurang kapan saja paling
""",
}
_UNSUPPORTED = """
not no never without except neither sin nunca ningun tidak belum tanpa or versus vs ratio percent percentage proportion
median previous last ago difference between compared respectively or o atau where donde
"""
_SAME = {
    "track": "song cancion lagu tema",
    "customer": "client cliente pelanggan",
    "employee": "staff empleado karyawan pegawai",
    "country": "pais negara nation",
    "city": "ciudad kota town",
    "invoice": "factura faktur",
    "state": "estado provinsi",
    "river": "rio sungai",
    "lake": "lago danau",
    "mountain": "montana gunung",
    "population": "poblacion populasi penduduk inhabitant habitante people citizen resident persona",
    "density": "densidad kepadatan",
    "capital": "capitale ibukota",
    "length": "longitud durasi duracion long largo",
    "company": "empresa perusahaan",
    "genre": "genero",
    "area": "superficie luas size tamano",
    "elevation": "elevacion ketinggian",
    "altitude": "altura altitud tall",
    "order": "pedido pesanan",
    "product": "producto produk",
    "equipment": "equipo peralatan machine maquina mesin",
    "status": "estatus",
    "price": "precio harga",
    "date": "fecha tanggal",
    "type": "tipo jenis",
    "revenue": "ingreso pendapatan sale venta penjualan",
}
_AGGREGATES = {
    "AVG": "average avg mean promedio promedios medio media rata rerata",
    "SUM": "sum total suma combined",
    "MAX": "maximum max maximo maxima maksimum",
    "MIN": "minimum min minimo minima",
}
_SIZE = ("area", "population", "size", "length", "total", "amount")
_LENGTH = ("length", "milliseconds", "duration")
_HEIGHT = ("altitude", "elevation", "height", "amount", "price", "population", "density", "rating", "total")
_PRICE = ("unit price", "price", "cost")
_SUPERLATIVES = (
    ("longest larga largo terpanjang", _LENGTH, "MAX"),
    ("shortest corta corto terpendek", _LENGTH, "MIN"),
    ("largest biggest greatest grande terbesar", _SIZE, "MAX"),
    ("smallest tiniest pequeno pequena menor terkecil", _SIZE, "MIN"),
    ("highest tallest alto alta tertinggi", _HEIGHT, "MAX"),
    ("lowest bajo baja terendah", _HEIGHT, "MIN"),
    ("oldest viejo antiguo tertua", ("birth date", "date of birth"), "MIN"),
    ("youngest joven termuda", ("birth date", "date of birth"), "MAX"),
    ("populous populated poblado", ("population",), "MAX"),
    ("expensive caro termahal", _PRICE, "MAX"),
    ("cheapest barato termurah", _PRICE, "MIN"),
)
_NUMBERS = (
    "one two three four five six seven eight nine ten",
    "uno dos tres cuatro cinco seis siete ocho nueve diez",
    "satu dua tiga empat lima enam tujuh delapan sembilan sepuluh",
)
_COURSES = "run runs running flow flows through cross crosses traverse traverses corre pasa"
STOP = frozenset(word for words in (*_STOP.values(), _COURSES) for word in words.split())
COURSES = frozenset(_COURSES.split())
"""Verbs of what has a course, such as a river: whatever it is about, it is not the name of the thing itself."""
UNSUPPORTED = frozenset(_UNSUPPORTED.split())
AGGREGATES = {word: function for function, words in _AGGREGATES.items() for word in words.split()}
SUPERLATIVES = {word: (columns, end) for words, columns, end in _SUPERLATIVES for word in words.split()}
MOST = {
    "most": "DESC", "mas": "DESC", "terbanyak": "DESC", "fewest": "ASC", "least": "ASC", "menos": "ASC",
    "tersedikit": "ASC",
}  # fmt: skip
EACH = frozenset("each per every by cada segun setiap tiap menurut berdasarkan".split())  # noqa: SIM905 - a table
MAYBE_EACH = frozenset(("por",))
"""Words that group where a name follows them, and else say nothing: "por estado", "por favor"."""
TOP = frozenset(("top", "teratas"))
NUMBERS = {word: number for words in _NUMBERS for number, word in enumerate(words.split(), 1)}
MORE = frozenset("more greater higher larger over mas mayor lebih".split())  # noqa: SIM905 - as above
LESS = frozenset("less fewer lower smaller under menos menor kurang".split())  # noqa: SIM905 - as above
THAN = frozenset(("than", "que", "dari", "de"))
COUNTS = (
    ("how", "many"), ("number", "of"), ("numero", "de"), ("berapa", "banyak"), ("berapa", "jumlah"), ("cuantos",),
    ("cuantas",), ("berapa",), ("berapakah",), ("jumlah",),
)  # fmt: skip
_OF_LANGUAGE = {
    "en": frozenset(f"{_STOP['en']} average top each".split()),
    "es": frozenset(f"{_STOP['es']} cuantos cuantas cuanto cada promedio este mas segun sumalas sumalos".split()),
    "id": frozenset(
        f"{_STOP['id']} berapa jumlah banyak setiap tiap rata bulan tahun terbanyak jumlahkan urutkan".split()
    ),
}
SIMILAR = {"state": "status"}
"""Names that may be meant where there is none of the first: "estado" is both."""
_FORMS = {word: canonical for canonical, words in _SAME.items() for word in words.split()}


def split_words(text: str) -> list[str]:
    """The words of *text* in small letters without accents."""
    plain = unicodedata.normalize("NFD", text.lower())
    letters = "".join(each for each in plain if unicodedata.category(each) != "Mn")
    return re.findall(
        r"[a-z0-9]+(?:\.[0-9]+)?", letters.replace("'s ", " ").replace("rata-rata", "rata").replace("rata rata", "rata")
    )


def detect_question_language(question: str, previous: str = "") -> str:
    """That of most of its small words, else of the *previous* question, else of its letters: a question is short, and
    names say little."""
    words = split_words(question)
    counts = {language: sum(word in own for word in words) for language, own in _OF_LANGUAGE.items()}
    most = max(counts.values())
    best = [language for language, count in counts.items() if count == most]
    if most and len(best) == 1:
        return best[0]
    return detect_question_language(previous) if previous else detect_language(question)


def read_name(name: str) -> list[str]:
    """The words of a name such as `next_maintenance` or `UnitPrice`."""
    return split_words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).replace("_", " "))


def split_name(name: str) -> tuple[str, ...]:
    """The words of a name, each in its basic form."""
    return tuple(map(reduce_word, read_name(name)))


def reduce_word(word: str) -> str:
    """*word* without the ending of a plural, and for those of another language or the same sense, one of them."""
    singular = cut_plural(word)
    return _FORMS.get(word, _FORMS.get(singular, singular))


def cut_plural(word: str) -> str:
    """*word* without the ending of a plural."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith("es") and (word[:-2] in _FORMS or re.search(r"(ss|x|ch|sh)es$", word)):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
