"""What an answer says of itself or of its sources: there is nothing in it that a source could support.

Language models write "According to passage 2, …", "The documents do not say …", "I hope this helps!". The first is cut
off, with a "(step 3)", before a sentence is checked; sentences like the others are not held to any source. In English,
Spanish and Indonesian.
"""

import re


def _match_any(*patterns: str) -> str:
    return rf"(?:{'|'.join(patterns)})"


# Strangers write what models repeat: each repeat here has a limit.
_SOURCES = (
    r"(?:(?:the|these|those|this|both|all|los|las|el|la|estos|esos) )?"
    r"(?:(?:given|provided|above|following|available|retrieved) )?"
    + _match_any(
        r"passages?|sources?|excerpts?|documents?|texts?|context",
        r"pasajes?|fuentes?|fragmentos?|documentos?|textos?|contexto",
        r"(?:bagian|sumber|kutipan|petikan|dokumen|teks|konteks)(?:-(?:sumber|kutipan|petikan|dokumen|teks))?",
    )
    + r"(?: (?:given|provided|above|proporcionad[oa]s?|dad[oa]s?|disponibles?|(?:yang )?(?:diberikan|tersedia|ada)))?"
)
_NUMBERS = r"(?: \[?\d{1,2}\]?(?:(?:, | and | or | & | y | o | dan | atau |-)\[?\d{1,2}\]?){0,9})"
_AS_SAID_IN = _match_any(
    r"according to|based (?:solely |only )?on",
    r"as (?:mentioned|described|stated|suggested|noted|explained|seen|shown) in",
    r"(?:also )?(?:mentioned|described|stated|suggested|found) in",
    r"según|de acuerdo con|(?:con base|basándose) en|como se (?:dice|indica|menciona|describe) en",
    r"menurut|berdasarkan|(?:seperti )?(?:yang )?(?:disebutkan|dijelaskan|tertulis|dikatakan) (?:di|dalam|pada)",
)
_SAYS_THAT = r"(?:also )?(?:mentions?|states?|says?|notes?|explains?|suggests?|indicates?) that"
_REFERENCE = re.compile(
    r"\b(?=[a-gk-pr-y])"
    + _match_any(
        rf"(?:steps?|pasos?|langkah){_NUMBERS}",
        rf"{_AS_SAID_IN} {_SOURCES}{_NUMBERS}?",
        rf"{_SOURCES}{_NUMBERS}(?: {_SAYS_THAT})?",
        rf"{_SOURCES} {_SAYS_THAT}",
    )
    + r"\b\]?[,:]?",
    re.IGNORECASE,
)
_MAY_NAME_ONE = re.compile(
    r"passage|source|excerpt|document|text|pasaje|fuente|fragmento|bagian|sumber|kutipan|petikan|dokumen|teks|step|paso"
    r"|langkah",
    re.IGNORECASE,
)
_LEFT_EMPTY = re.compile(r" ?\(\)| (?=[.,;:!?])")

_LOOKED_AT = 200  # characters of a sentence: what it is about stands early
_SAY = _match_any(
    r"provide|mention|contain|say|state|specify|include|give|discuss|explain|offer|address|indicate|describe|answer",
    r"dicen?|indican?|mencionan?|contienen?|especifican?",
    r"menyebutkan|menyatakan|memuat|menjelaskan|memberikan|menjawab",
)
_SAID = r"(?:mention(?:ed)?|information|instructions|details|evidence|answer|found|provided|stated|specified"
_SAID += r"|mencionad[oa]|información|disebutkan|informasi)"
_ANSWER = _match_any(
    r"answer|respond|provide|determine|say|tell|find",
    r"responder|contestar|determinar|decir|encontrar",
    r"menjawab|menentukan|mengatakan|menemukan|memberikan",
)
_ASIDE = re.compile(
    r"(?:^|\b(?=[^\W\d_]))"
    + _match_any(
        # "The passages do not mention …", "Passage 2 only describes …"
        rf"{_SOURCES}{_NUMBERS}? (?:(?:also|only|solo|hanya) )?(?:(?:do|does|did) not |don't |doesn't |no |tidak )?"
        rf"{_SAY}(?:e?s)?\b",
        # "… is not mentioned in the documents."
        rf"(?:not|no|nothing|any|tidak|nada)\b.{{0,60}}\b{_SAID}\b.{{0,60}}"
        rf"\b(?:in|from|by|on|en|di|dalam|dari) {_SOURCES}",
        # "I cannot say …", "It is not possible to determine …", "Unable to answer …"
        r"(?:i|we)(?: am|'m| are|'re)? (?:unable to|not able to|cannot|can't|could not|couldn't) (?:\w+ )?"
        rf"{_ANSWER}\b",
        rf"(?:^|it(?:'s| is) )(?:unable|impossible|not possible|unclear|difficult) (?:to )?{_ANSWER}\b",
        rf"no (?:puedo|es posible|se puede) {_ANSWER}\b",
        rf"(?:saya )?tidak (?:dapat|bisa|mungkin) {_ANSWER}\b",
        # "Let me know if …", "I hope this helps.", "Sure, I can help you!"
        r"^(?:please )?(?:let me know|feel free to (?:ask|reach|contact|let)|i hope (?:this|that|it))\b",
        r"^if (?:you|there|such|none)\b.{0,80}\b(?:let me know|feel free|hesitate|please ask (?:me|away))\b",
        r"^thank(?:s| you) for\b",
        r"^si (?:tiene|necesita|desea)\b.{0,80}"
        r"\b(?:no dude en (?:preguntar|consultarme|escribirme)|hágamelo saber|avíseme)\b",
        r"^(?:jika|kalau|bila) (?:anda|kamu|ada)\b.{0,80}"
        r"\b(?:beri tahu saya|jangan ragu|silakan (?:bertanya|tanyakan|beri tahu saya))\b",
        r"^(?:gracias por|terima kasih atas)\b",
        r"^(?:sure|certainly|of course|absolutely)\b[,!.]? (?:i|let me)\b",
        r"^i(?:'d| would|'ll| will) be (?:happy|glad)\b",
        r"^(?:espero que (?:esto|le|te)|con gusto le|claro,? puedo)\b",
        r"^(?:semoga (?:ini|jawaban|informasi)|silakan (?:bertanya|beri tahu saya))\b",
    ),
    re.IGNORECASE,
)
# "Here are the steps to …:". A figure in it would be told by it, and what ends otherwise, as "Here are no lockers.".
_WHAT_FOLLOWS = _match_any(
    r"steps?|answer|list|summary|overview",
    r"pasos|respuesta|lista|resumen",
    r"(?:langkah-)?langkah|jawaban|daftar|ringkasan",
)
_INTRODUCTION = re.compile(
    _match_any(
        r"(?:(?:sure|certainly|okay|of course)[,!.]? )?(?:here(?:'s| is| are)|(?:below|the following) (?:is|are))",
        r"(?:claro[,!.]? )?(?:aquí (?:tiene|está|están)|a continuación "
        r"(?:(?:se|le) (?:muestr|indic|detall|present|enumer)[aeo]n?|está|están))",
        r"(?:tentu[,!.]? )?berikut (?:adalah|ini)",
    )
    + r" (?!(?:no|not)\b)(?:[^\d:,;]{1,120}:|"
    + rf"(?:the |your |an? |la |el |los |una? )?(?:brief |short )?{_WHAT_FOLLOWS}\b[^\d:,;]{{0,120}})",
    re.IGNORECASE,
)
_GENERAL = re.compile(
    _match_any(
        r"^(?:please |also )?(?:note|remember|keep in mind)\b",
        r"^it(?:'s| is) (?:also |always )?(?:worth|important|best|essential|crucial|recommended|a good idea)\b",
        r"^(?:overall|in (?:conclusion|summary|short)|therefore|thus|i(?:'m|'ll)?)\b",
        r"^(?:tenga en cuenta|recuerde|es (?:importante|recomendable|aconsejable))\b",
        r"^(?:en (?:resumen|general|conclusión)|por (?:lo )?tanto)\b",
        r"^(?:perlu (?:diingat|dicatat)|ingatlah|harap (?:diingat|dicatat)|sebaiknya)\b",
        r"^(?:secara (?:umum|keseluruhan)|jadi|oleh karena itu)\b",
        r"\b(?:may|might|can|could) (?:also )?(?:vary|depend|differ)\b",
        r"\bpueden? variar\b|\bdapat (?:bervariasi|berbeda)\b",
        r"\bconsult(?:ing)?\b.{0,60}\b(?:professional|doctor|provider|expert)",
    ),
    re.IGNORECASE,
)


def remove_references(sentence: str) -> str:
    """*sentence* without what only names the passage it rests on, as "(Passage 2)" or "According to source 1,"."""
    # Most sentences name none, and an answer of 64 KB has thousands.
    return _LEFT_EMPTY.sub("", _REFERENCE.sub("", sentence)).strip() if _MAY_NAME_ONE.search(sentence) else sentence


def is_meta(sentence: str) -> bool:
    """Whether *sentence* is about its sources, a courtesy of the one who answers, or only says what will follow."""
    return bool(_ASIDE.search(sentence[:_LOOKED_AT]) or _INTRODUCTION.fullmatch(sentence[:_LOOKED_AT]))


def is_general(sentence: str) -> bool:
    """Whether *sentence* is a caution, a conclusion or common advice, which sources seldom say and seldom deny."""
    return bool(_GENERAL.search(sentence[:_LOOKED_AT]))
