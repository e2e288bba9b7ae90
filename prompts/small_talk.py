"""What the assistant says of itself, in English, Spanish and Indonesian."""

import re
from collections.abc import Mapping, Sequence

from prompts.names import escape_line, write_name

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
_ABOUT_HEADING = {
    "en": "What should I know about {heading}?",
    "es": "¿Qué debo saber sobre {heading}?",
    "id": "Apa yang perlu saya ketahui tentang {heading}?",
}
# Headings that say what is to be done, or what the institution does, and how somebody asks for it.
_REWORDED = {
    "en": (
        (re.compile(r"(How|What|When|Where|Who) to (?=\w)"), r"\1 do I "),
        (
            re.compile(
                r"((?:How|What|When|Where|Which|Why)(?: \w+)?) we (?!(?:are|can|may|must|should|were|will)\b)(?=\w)"
            ),
            r"\1 do you ",
        ),
    ),
    "es": ((re.compile(r"(Cómo|Cuándo|Dónde|Qué) (?=\w+[aei]r\b)"), r"¿\1 puedo "),),
    "id": ((re.compile(r"Cara (?=\w)"), "Bagaimana cara "),),
}
# Words that stand for what stood above a heading.
_STANDS_FOR = {
    "en": re.compile(r"\b(her|him|it|its|that|their|them|these|they|this|those)\b", re.I),
    "es": re.compile(r"\b(ella|ellas|ello|ellos|esto|lo|los)\b", re.I),
    "id": re.compile(r"\b(hal ini|itu|tersebut|\w+nya)\b", re.I),
}
# Numbers before a heading: "2.", "3.1", "§ 4".
_NUMBER = re.compile(r"\A(?:§ ?\d+|\d+(?:\.\d+)+|\d+[.)])\s+(?=\S)")
# Headings that are questions but for their sign.
_ASKING = {
    "en": re.compile(r"(How|What|When|Where|Which|Who|Why) (?=(are|can|do|does|has|have|is|may|must)\b)"),
    "es": re.compile(r"(Cómo|Cuándo|Cuánto|Dónde|Qué|Quién) (?=\w)"),
    "id": re.compile(r"(Apa|Bagaimana|Berapa|Di mana|Kapan|Mengapa|Siapa) (?=\w)"),
}
# Headings that go on from what stands above them, and say too little by themselves: "After you apply".
_GOING_ON = {
    "en": re.compile(
        r"(After|Again|And|As|At|Before|By|During|For|From|How|If|In|Not|Of|On|Or|To|Until|What|When|Where|Which|While|"
        r"Who|Why|With|Without)\b"
    ),
    "es": re.compile(
        r"(A|Al|Ante|Antes|Con|Cuando|De|Del|Desde|Después|Durante|En|Hasta|Mientras|No|O|Para|Por|Si|Sin|Tras|Y)\b"
    ),
    "id": re.compile(
        r"(Atau|Bila|Dari|Dengan|Di|Jika|Kalau|Ke|Ketika|Pada|Saat|Sebelum|Selama|Sesudah|Setelah|Tanpa|Tidak|Untuk)\b"
    ),
}
_WHAT_IT_SAYS = {
    "en": "What does “{title}” say about “{heading}”?",
    "es": "¿Qué dice «{title}» sobre «{heading}»?",
    "id": "Apa isi “{title}” tentang “{heading}”?",
}
# Words that begin no sentence, with the marks that follow them.
_WITHIN_SENTENCE = re.compile(r"[^\W\d_],? (?=(\S+))")
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
    parts = [f"{opening} {_ABOUT[language]} {'; '.join(map(write_name, titles))}."]
    if examples:
        parts.append("\n".join([_EXAMPLES[language], "", *(f"- {escape_line(example)}" for example in examples)]))
    return "\n\n".join(parts)


def names_heading(question: str, title: str, heading: str) -> bool:
    """Whether it is an example of a question about this heading."""
    folded = question.casefold()
    return any(
        folded == each.casefold()
        for language in _ABOUT_HEADING
        for each in make_example_questions(title, heading, language)
    )


def make_example_questions(title: str, heading: str, language: str, text: str = "") -> tuple[str, ...]:
    """What somebody asks who wants to know what stands under *heading* of a document, the plainest first.

    One word says too little without the document's *title*. *text*: what stands there, where a name is written large
    within sentences, too.
    """
    heading = _NUMBER.sub("", heading)
    if heading.endswith("?"):
        return (heading,)
    question = _ask_as_worded(heading, language)
    if _STANDS_FOR[language].search(heading) or (not question and _GOING_ON[language].match(heading)):
        return (_WHAT_IT_SAYS[language].format(title=title, heading=heading),)
    question = question or _ask_about(heading, language, text)
    with_title = f"{question.removesuffix('?')} ({title})?"
    return (question, with_title) if " " in heading else (with_title,)


def _ask_as_worded(heading: str, language: str) -> str:
    """The question that *heading* nearly is, "" where it is none."""
    for worded, asked in _REWORDED[language]:
        if worded.match(heading):
            return f"{worded.sub(asked, heading, count=1)}?"
    if _ASKING[language].match(heading):
        return f"{'¿' if language == 'es' else ''}{heading}?"
    return ""


def _ask_about(heading: str, language: str, text: str) -> str:
    first, _, rest = heading.partition(" ")
    is_word = first.istitle() and first not in _find_words_within(text)
    words = f"{first.lower()} {rest}".strip() if is_word else heading
    return _ABOUT_HEADING[language].format(heading=words)


def _find_words_within(text: str) -> set[str]:
    """The words of *text* that begin no sentence: one written large there is a name."""
    return {word.rstrip(".,;:!?)]”»\"'") for word in _WITHIN_SENTENCE.findall(text)}
