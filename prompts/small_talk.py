"""What the assistant says of itself, in English, Spanish and Indonesian."""

from collections.abc import Mapping, Sequence

TOPICS_QUERY = {
    "en": "the most important information for visitors",
    "es": "la información más importante para los visitantes",
    "id": "informasi terpenting untuk pengunjung",
}
"""What is searched for to learn what the documents are about."""

_OPENING: Mapping[str, Mapping[str, str]] = {
    "greeting": {"en": "Hello! {self}", "es": "¡Hola! {self}", "id": "Halo! {self}"},
    "identity": {
        "en": "I am a program, not a person. {self}",
        "es": "Soy un programa, no una persona. {self}",
        "id": "Saya sebuah program, bukan manusia. {self}",
    },
    "abilities": {"en": "{self}", "es": "{self}", "id": "{self}"},
    "help": {
        "en": "Of course. Ask in your own words. {self}",
        "es": "Claro. Pregunte con sus propias palabras. {self}",
        "id": "Tentu. Silakan bertanya dengan kata-kata sendiri. {self}",
    },
    "thanks": {
        "en": "You are welcome. Ask whenever you have another question.",
        "es": "De nada. Pregunte cuando tenga otra duda.",
        "id": "Sama-sama. Silakan bertanya lagi kapan saja.",
    },
    "goodbye": {"en": "Goodbye, and all the best!", "es": "¡Hasta luego y que le vaya bien!", "id": "Sampai jumpa!"},
    "distress": {
        "en": "I am sorry that you feel so bad. I am a program and cannot help with this, but people can. If you are "
        "in danger, please call the emergency number now; in many countries it is 112. Please talk to somebody you "
        "trust, or to a crisis line. I can also look in the documents: ask me about counselling.",
        "es": "Siento que se encuentre tan mal. Soy un programa y no puedo ayudarle con esto, pero hay personas que "
        "sí. Si está en peligro, llame ahora al número de emergencias; en muchos países es el 112. Hable con alguien "
        "de confianza o con una línea de ayuda. Puedo buscar a quién nombran los documentos: pregunte por la atención "
        "psicológica.",
        "id": "Saya turut prihatin Anda merasa seberat itu. Saya sebuah program dan tidak dapat membantu hal ini, "
        "tetapi ada orang yang dapat. Jika Anda dalam bahaya, hubungi nomor darurat sekarang; di banyak negara 112. "
        "Bicaralah dengan orang yang Anda percaya, atau dengan layanan krisis. Saya dapat mencari siapa yang disebut "
        "dalam dokumen: tanyakan tentang konseling.",
    },
}
_SELF = {
    "en": "I answer questions from the documents{owner} and show where each answer stands.",
    "es": "Respondo preguntas con los documentos{owner} y muestro dónde está cada respuesta.",
    "id": "Saya menjawab pertanyaan dari dokumen{owner} dan menunjukkan letak setiap jawaban.",
}
_OWNER = {"en": " of {name}", "es": " de {name}", "id": " {name}"}
_EMPTY = {
    "en": "There are no documents yet.",
    "es": "Todavía no hay documentos.",
    "id": "Belum ada dokumen.",
}
_ABOUT = {"en": "Among them:", "es": "Entre ellos:", "id": "Di antaranya:"}
_EXAMPLES = {"en": "For example, ask:", "es": "Por ejemplo, pregunte:", "id": "Contoh pertanyaan:"}
_EXAMPLE = {
    "en": "What does “{title}” say about “{heading}”?",
    "es": "¿Qué dice «{title}» sobre «{heading}»?",
    "id": "Apa isi “{title}” tentang “{heading}”?",
}
_BRIEF = ("thanks", "goodbye", "distress")


def is_brief(intent: str) -> bool:
    """Whether what is said needs nothing from the documents."""
    return intent in _BRIEF


def reply(intent: str, language: str, *, institution: str, titles: Sequence[str], examples: Sequence[str]) -> str:
    """Markdown for an *intent* of `agents.small_talk`; *titles* of documents, *examples* of questions about them."""
    owner = _OWNER[language].format(name=institution) if institution else ""
    opening = _OPENING[intent][language].format(self=_SELF[language].format(owner=owner))
    if is_brief(intent):
        return opening
    if not titles:
        return f"{opening} {_EMPTY[language]}"
    parts = [f"{opening} {_ABOUT[language]} {'; '.join(titles)}."]
    if examples:
        parts.append("\n".join([_EXAMPLES[language], "", *(f"- {example}" for example in examples)]))
    return "\n\n".join(parts)


def names_heading(question: str, title: str, heading: str) -> bool:
    """Whether it is an example of a question about this heading."""
    return any(question == make_example_question(title, heading, language) for language in _EXAMPLE)


def make_example_question(title: str, heading: str, language: str) -> str:
    """A question that names a document and one of its headings, or the heading where that is a question."""
    if heading.endswith("?"):
        return heading
    return _EXAMPLE[language].format(title=title, heading=heading)
