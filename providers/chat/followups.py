"""Follow-up questions made understandable by themselves, by rule, where no language model does it."""

import re
from collections.abc import Sequence
from functools import cache

from langchain_core.messages import BaseMessage, HumanMessage

from utils.data_files import load_json
from utils.language import LANGUAGES, detect_language
from utils.shorthand import spell_out
from utils.words import hash_content_words

# Words that ask for a property of something, or introduce it, without naming it: alone they make no topic.
_GENERIC: dict[str, list[str]] = load_json("providers.chat", "generic_words.json")
_STARTS_OPEN = re.compile(
    r"(?<![¿¡\s])[¿¡\s]*+(?:and|or|but|also|then|so|what about|how about|dan|atau|tapi|tetapi|lalu|terus|kalau"
    r"|bagaimana (?:dengan|kalau)|y|e|o|pero|entonces|también|qué tal)\b",
    re.IGNORECASE,
)
_REFERS_BACK = re.compile(
    r"\b(?=[^\W_])(?:(?:it(?! (?:takes?|costs?) (?:to|if)\b| (?:possible|allowed|necessary|true|clear)\b)|its|he|she)\b"
    r"|(?:they|them|their|him|her|his)\b|(?:this|that|these|those)(?: ones?)?(?=\s*(?:[?.!,]|$))"
    r"|(?:this|that|these|those)(?: ones?)? (?:is|are|was|were|do|does|did|can|will|costs?|means?)\b"
    r"|(?:is|are|does|do|can) (?:this|that|these|those)\b|there(?=\s*(?:[?.!,]|$))"
    r"|(?<!apa )(?<!siapa )(?<!apakah )itu\b|(?:tersebut|dia|mereka|(?:di|ke|dari) ?(?:sana|situ))\b"
    r"|(?!hanya|tanya|punya|biasanya|misalnya|lainnya)\w{3,}nya\b"
    r"|(?:eso|esto|ello|él|ellas?|ellos|allí|allá|ahí|sus?)\b)",
    re.IGNORECASE,
)
# A question of which nothing but this is said; Spanish and Indonesian leave the pronoun out.
_BARE_QUESTION = re.compile(
    r"(?:how (?:much|long|many|far)|what (?:time|price|cost)|when|where|who|which(?: one)?"
    r"|(?:cu[áa]nt[oa]s?(?: cuestan?| valen?| es| son)?|cu[áa]ndo|d[óo]nde|a qué hora|qué horario)"
    r"(?: es| está| queda| abren?| cierran?| empieza| termina)?"
    r"|(?:berapa(?: (?:harga|biaya|tarif)(?:nya)?)?|kapan|jam berapa|di ?mana|siapa)"
    r"(?: buka| dibuka| tutup| ditutup| mulai| dimulai)?)",
    re.IGNORECASE,
)
_AROUND = " \t\n.,;:!?¿¡…"
_LONGEST_BARE = 60  # characters
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_REMEMBERED = 4  # earlier questions that are looked at: what was said before them is another subject by now


def standalone_question(history: Sequence[BaseMessage], question: str) -> str:
    """*question*, with the topic of the person's questions in *history* (oldest first) behind it if it has none itself.

    "How much does it cost?" after "Tell me about the dormitory" gives "How much does it cost? (dormitory)". A question
    that names what it asks about comes back unchanged. English, Indonesian and Spanish.
    """
    earlier = [spell_out(message.text) for message in history if isinstance(message, HumanMessage)][-_REMEMBERED:]
    resolved = ""
    for each in [*earlier, question]:
        resolved = _with_topic_of(resolved, each)
    return resolved


def leave_out_topic(standalone: str) -> str:
    """What was asked, of a question that `standalone_question` gave a topic; any other as it is."""
    start = standalone.rfind(" (")
    has_topic = start > 0 and standalone.endswith(")") and ")" not in standalone[start:-1]
    return standalone[:start] if has_topic else standalone


def names_no_topic(question: str) -> bool:
    """Whether *question* refers to something, and nothing in it says to what: "How much is it?", "¿Cuánto cuesta?".

    "How do I apply?" refers to nothing. Of 6,159 questions that can be answered none was taken for one.
    """
    bare = question.strip(_AROUND)
    if len(bare) <= _LONGEST_BARE and _BARE_QUESTION.fullmatch(bare):
        return True
    return _REFERS_BACK.search(question) is not None and not _topic_words(question)


def _with_topic_of(previous: str, question: str) -> str:
    if not previous or not _depends(question):
        return question
    asks_the_same = _STARTS_OPEN.match(question)
    if asks_the_same and (replaced := _with_replacements(previous, question[asks_the_same.end() :])):
        return replaced
    present = {_stem(word) for word in _WORD.findall(question)}
    shapes = {_shape(word) for word in _WORD.findall(question)} - {""}
    # "And on Sundays?" asks the same of something else: all of the question before is needed, not its topic alone.
    words = _content(previous) if asks_the_same else _topic_words(previous)
    topic = dict.fromkeys(word for word in words if _stem(word) not in present and _shape(word) not in shapes)
    return f"{question} ({' '.join(topic)})" if topic else question


def _with_replacements(previous: str, change: str) -> str:
    """*previous* with the letters and numbers of *change* in their places, "" if that brings other words as well."""
    stems = {_stem(word) for word in _content(previous) if not _shape(word)}
    new = [word for word in _content(change) if _shape(word) or _stem(word) not in stems]
    replacements = {shape: word for word in new if (shape := _shape(word))}
    replaceable = [shape for word in _WORD.findall(previous) if (shape := _shape(word))]
    if not new or len(replacements) < len(new) or not all(replaceable.count(shape) == 1 for shape in replacements):
        return ""
    return _WORD.sub(lambda found: replacements.get(_shape(found[0]), found[0]), previous)


def _shape(word: str) -> str:
    """The kind of a word that is replaced by another of its kind: "band C" by "band D", 2027 by 2028; else ""."""
    if any(map(str.isdigit, word)):
        return "number"
    return "letter" if len(word) == 1 and word.isupper() else ""


def _content(question: str) -> list[str]:
    language = detect_language(question)
    return [word for word in _WORD.findall(question) if hash_content_words(word, language) or _shape(word)]


def _depends(question: str) -> bool:
    """Whether *question* leans on what was said before it.

    A pronoun alone does not show it: most refer to something named earlier in the same question.
    """
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
    return any(hash_content_words(word, code) <= _generic(code) for code in languages)


def _stem(word: str) -> frozenset[int]:
    return hash_content_words(word, detect_language(word))


@cache
def _generic(language: str) -> frozenset[int]:
    return hash_content_words(" ".join(_GENERIC[language]), language)
