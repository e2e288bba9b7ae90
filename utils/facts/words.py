"""The words that facts are made of, in English, Spanish and Indonesian, folded."""

MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan enero ene januari",
            "february feb febrero februari pebruari",
            "march mar marzo maret",
            "april apr abril abr",
            "may mayo mei",
            "june jun junio juni",
            "july jul julio juli",
            "august aug agosto ago agustus agu",
            "september sep sept septiembre setiembre",
            "october oct octubre oktober okt",
            "november nov noviembre nopember",
            "december dec diciembre dic desember des",
        ),
        1,
    )
    for name in names.split()
}
WEEKDAYS = {
    name: number
    for number, names in enumerate(
        (
            "monday mondays lunes senin",
            "tuesday tuesdays martes selasa",
            "wednesday wednesdays miercoles rabu",
            "thursday thursdays jueves kamis",
            "friday fridays viernes jumat",
            "saturday saturdays sabado sabados sabtu",
            "sunday sundays domingo domingos minggu",
        )
    )
    for name in names.split()
}
_COUNTED = (
    "zero cero nol",
    "one uno una un satu",
    "two dos dua",
    "three tres tiga",
    "four cuatro empat",
    "five cinco lima",
    "six seis enam",
    "seven siete tujuh",
    "eight ocho delapan",
    "nine nueve sembilan",
    "ten diez sepuluh",
    "eleven once sebelas",
    "twelve doce",
    "thirteen trece",
    "fourteen catorce",
    "fifteen quince",
    "sixteen dieciseis",
    "seventeen diecisiete",
    "eighteen dieciocho",
    "nineteen diecinueve",
    "twenty veinte",
)
_ORDINALS = (
    "first primero primera primer pertama",
    "second segundo segunda kedua",
    "third tercero tercera tercer ketiga",
    "fourth cuarto cuarta keempat",
    "fifth quinto quinta kelima",
    "sixth sexto sexta keenam",
    "seventh septimo septima ketujuh",
    "eighth octavo octava kedelapan",
    "ninth noveno novena kesembilan",
    "tenth decimo decima kesepuluh",
)
_TENS = {
    "thirty treinta": 30, "forty cuarenta": 40, "fifty cincuenta": 50, "sixty sesenta": 60, "seventy setenta": 70,
    "eighty ochenta": 80, "ninety noventa": 90, "hundred cien ciento ratus seratus": 100, "puluh": 10,
    "thousand mil seribu": 1000, "twice double": 2, "couple pair sepasang": 2, "dozen docena lusin": 12,
}  # fmt: skip
SPELLED: dict[str, float] = {
    **{name: float(worth) for worth, names in enumerate(_COUNTED) for name in names.split()},
    **{name: float(worth) for worth, names in enumerate(_ORDINALS, 1) for name in names.split()},
    **{name: float(worth) for names, worth in _TENS.items() for name in names.split()},
}
# Words that are numbers and much else: they prove a number, but are not missed as one.
_WEAK = (
    "zero one uno una un satu first primero primera primer pertama second segundo segunda kedua once mil third ratus "
    "seratus thousand hundred double twice couple pair dozen sepasang lusin cien ciento cero nol puluh seribu dos dua "
    "tercer cuarto quinto lima tiga ketiga"
)
WEAK = frozenset(_WEAK.split())
MAGNITUDES = {
    **dict.fromkeys(("hundred", "ratus"), 1e2),
    **dict.fromkeys(("thousand", "ribu", "mil", "k"), 1e3),
    **dict.fromkeys(("million", "millions", "juta", "millon", "millones", "mn"), 1e6),
    **dict.fromkeys(("billion", "billions", "bn", "miliar", "milyar"), 1e9),
    **dict.fromkeys(("trillion", "trillions", "triliun", "billon", "billones"), 1e12),
}
_UNITS = {
    "%": "% percent percentage persen",
    "USD": "$ usd dollar dollars dolar dolares",
    "EUR": "€ eur euro euros",
    "GBP": "£ gbp pound pounds",
    "IDR": "rp idr rupiah rupiahs rupias",
    "km": "km kilometer kilometers kilometre kilometres kilometro kilometros",
    "m": "meter meters metre metres metro metros",
    "mile": "mile miles milla millas",
    "cm": "cm centimeter centimeters centimetre centimetres centimetros sentimeter",
    "km2": "km² km2",
    "m2": "m² m2",
    "ha": "ha hectare hectares hectarea hectareas hektar hektare",
    "kg": "kg kilogram kilograms kilogramo kilogramos",
    "ton": "ton tons tonne tonnes tonelada toneladas",
    "l": "liter liters litre litres litro litros",
    "C": "°c celsius",
    "F": "°f fahrenheit",
    "second": "seconds segundos detik",
    "minute": "minute minutes minuto minutos menit",
    "hour": "hour hours hora horas",
    "day": "day days dia dias hari",
    "week": "week weeks semana semanas minggu pekan",
    "month": "month months mes meses bulan",
    "year": "year years ano anos tahun",
}
UNITS = {word: unit for unit, words in _UNITS.items() for word in words.split()}
