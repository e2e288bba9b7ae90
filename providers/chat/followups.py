"""Follow-up questions made understandable by themselves, by rule, where no language model does it."""

import re
from collections.abc import Sequence
from functools import cache

from langchain_core.messages import BaseMessage, HumanMessage

from providers.chat.words import content_words
from utils.language import LANGUAGES, detect_language

# Words that ask for a property of something, or introduce it, without naming it: alone they make no topic.
_GENERIC = {
    "en": "about address allowed amount answer apply available become begin buy call change close contact cost date "
    "deadline deliver detail do enough example explain fee find form get give go happen help hour include info "
    "information interested join know last learn long look many mean mention money more much need offer often open "
    "option order pay phone please possible price procedure process provide question reach register require "
    "requirement return rule say see show start step submit take tell thing time understand use want way work",
    "id": "ada alamat ambil apa apakah bagaimana bayar bayaran berapa berapakah berikan biaya bisa boleh buka butuh "
    "cara ceritakan contoh daftar dapat dibuka ditutup dimulai dimana diperlukan harga hubungi info informasi ingin "
    "jam jelaskan jadwal kapan kapankah kenapa kontak lama lanjut langkah lokasi mana masuk membayar mendaftar "
    "mendapatkan mendapat mengambil mengajukan mengapa mengetahui menghubungi mulai nomor penjelasan perlu prosedur "
    "proses saja saya selesai sebutkan siapa siapakah syarat persyaratan tahu tanya tempat tenggat tentang tersedia "
    "tertarik tolong tutup waktu",
    "es": "abrir abre ayuda ayudar buscar cambiar cerrar cierra cómo contacto contactar coste costo costar cuál cuáles "
    "cuándo cuánta cuántas cuánto cuántos cuesta cuestan dar decir dígame dime dirección dónde ejemplo empezar empieza "
    "encontrar enviar explicar explícame explique fecha gracias haber háblame hablar hacer hago hora horario incluir "
    "información informar inscribir inscribirme inscribo interesa interesado límite lugar llamar más mostrar necesitar "
    "necesito número obtener ofrecer paga pagar pasar pedir pido plazo poder precio procedimiento puede puedo qué "
    "querer quién quiénes quiero requisito saber significar solicitar solicito tardar tarda teléfono tener tiempo usar",
}
_COURTESIES = re.compile(
    r"\W*(?:hi|hello|hey|thanks?(?: you)?(?: very much)?|ok(?:ay)?|bye|good (?:morning|afternoon|evening)|halo|hai"
    r"|terima ?kasih|selamat (?:pagi|siang|sore|malam)"
    r"|hola|(?:muchas )?gracias|adiós|buen[oa]s (?:días|tardes|noches))\W*",
    re.IGNORECASE,
)
_STARTS_OPEN = re.compile(
    r"[¿¡\s]*(?:and|or|but|also|then|so|what about|how about|dan|atau|tapi|tetapi|lalu|terus|kalau"
    r"|bagaimana (?:dengan|kalau)|y|e|o|pero|entonces|también|qué tal)\b",
    re.IGNORECASE,
)
_REFERS_BACK = re.compile(
    r"\b(?:it(?! (?:takes?|costs?) (?:to|if)\b| (?:possible|allowed|necessary|true|clear)\b)|its|he|she)\b"
    r"|\b(?:they|them|their|him|her|his)\b|\b(?:this|that|these|those)(?: ones?)?(?=\s*(?:[?.!,]|$))"
    r"|\b(?:this|that|these|those)(?: ones?)? (?:is|are|was|were|do|does|did|can|will|costs?|means?)\b"
    r"|\b(?:is|are|does|do|can) (?:this|that|these|those)\b|\bthere(?=\s*(?:[?.!,]|$))"
    r"|(?<!apa )(?<!siapa )(?<!apakah )\bitu\b|\b(?:tersebut|dia|mereka|(?:di|ke|dari) ?(?:sana|situ))\b"
    r"|\b(?!hanya|tanya|punya|biasanya|misalnya|lainnya)\w{3,}nya\b"
    r"|\b(?:eso|esto|ello|él|ellas?|ellos|allí|allá|ahí|sus?)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_REMEMBERED = 4  # earlier questions that are looked at: what was said before them is another subject by now


def standalone_question(history: Sequence[BaseMessage], question: str) -> str:
    """*question*, with the topic of the person's questions in *history* (oldest first) behind it if it has none itself.

    "How much does it cost?" after "Tell me about the dormitory" gives "How much does it cost? (dormitory)". A question
    that names what it asks about comes back unchanged. English, Indonesian and Spanish.
    """
    earlier = [message.text for message in history if isinstance(message, HumanMessage)][-_REMEMBERED:]
    resolved = ""
    for asked in [*earlier, question]:
        resolved = _with_topic_of(resolved, asked)
    return resolved


def _with_topic_of(previous: str, question: str) -> str:
    if not previous or not _depends(question):
        return question
    present = {_stem(word) for word in _WORD.findall(question)}
    topic = dict.fromkeys(word for word in _topic_words(previous) if _stem(word) not in present)
    return f"{question} ({' '.join(topic)})" if topic else question


def _depends(question: str) -> bool:
    """Whether *question* leans on what was said before it.

    A pronoun alone does not show it: most refer to something named earlier in the same question.
    """
    if _COURTESIES.fullmatch(question):
        return False
    topic = _topic_words(question)
    if not topic or _STARTS_OPEN.match(question):
        return True
    reference = _REFERS_BACK.search(question)
    if reference is None:
        return False
    named_before = any(word in topic for word in _WORD.findall(question[: reference.start()]))
    return not named_before or (len(topic) == 1 and topic[0].islower())


def _topic_words(question: str) -> list[str]:
    language = detect_language(question)
    return [word for word in _WORD.findall(question) if not _is_generic(word, language)]


def _is_generic(word: str, language: str) -> bool:
    """Whether *word* names no topic. Short questions do not show their language, so lower-case words count in any."""
    languages = LANGUAGES if word.islower() else (language,)
    return any(content_words(word, code) <= _generic(code) for code in languages)


def _stem(word: str) -> frozenset[int]:
    return content_words(word, detect_language(word))


@cache
def _generic(language: str) -> frozenset[int]:
    return content_words(_GENERIC[language], language)
