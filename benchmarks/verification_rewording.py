"""Sentences said in other words by rule: statements of questions and answers, other formats, synonyms, passives."""

import re
from collections.abc import Callable

Change = Callable[[str], str]

_SYNONYMS = {
    "en": "many:numerous began:started began:commenced large:big used:employed called:named often:frequently important:"
    "significant however:nevertheless because:since people:persons show:demonstrate shows:demonstrates several:various "
    "about:approximately built:constructed help:assist area:region main:principal also:additionally between:among "
    "such:like near:close_to through:via while:whereas therefore:thus usually:generally major:principal "
    "most:the_majority_of made:produced known:recognised died:passed_away became:turned_into",
    "es": "muchos:numerosos grande:enorme comenzó:empezó importante:relevante utiliza:emplea utilizado:empleado "
    "personas:individuos también:además porque:ya_que aproximadamente:cerca_de zona:área principal:central "
    "construido:edificado durante:a_lo_largo_de mediante:por_medio_de obtener:conseguir sin_embargo:no_obstante "
    "murió:falleció generalmente:normalmente actualmente:hoy_en_día debido:a_causa",
    "id": "banyak:sejumlah_besar besar:luas digunakan:dipakai disebut:dinamakan sering:kerap karena:sebab adalah:"
    "merupakan merupakan:adalah wilayah:daerah daerah:wilayah sekitar:kira-kira dibangun:didirikan mulai:berawal "
    "juga:pula seperti:misalnya terletak:berada saat:ketika ketika:saat meninggal:wafat memiliki:mempunyai "
    "terdiri:tersusun utama:pokok",
}
SYNONYMS = {
    language: [(one, other.replace("_", " ")) for one, other in (pair.split(":") for pair in pairs.split())]
    for language, pairs in _SYNONYMS.items()
}
_MONTHS_NAMED = "January February March April May June July August September October November December"
_MONTHS = _MONTHS_NAMED.split()
_COUNTED = "two three four five six seven eight nine ten"
_STATEMENTS: dict[str, list[tuple[str, str]]] = {
    "en": [
        (r"who (?P<rest>(?!(?:did|do|does|is|was|are|were)\b).+)", "It was {answer} who {rest}."),
        (r"who (?P<be>is|was|are|were) (?P<rest>.+)", "{rest} {be} {answer}."),
        (r"(?:in )?(?:what|which) year did (?P<rest>.+)", "The year in which {rest} is {answer}."),
        (r"when (?:did|does|do) (?P<rest>.+)", "The time when {rest} is {answer}."),
        (r"when (?P<be>was|were|is|are) (?P<rest>.+)", "The time when {rest} {be} {answer}."),
        (r"where (?:did|does|do) (?P<rest>.+)", "The place where {rest} is {answer}."),
        (r"where (?P<be>was|were|is|are) (?P<rest>.+)", "The place of {rest} {be} {answer}."),
        (r"how many (?P<rest>.+)", "The number of {rest} is {answer}."),
        (r"how much (?P<rest>.+)", "The amount of {rest} is {answer}."),
        (r"what (?P<be>is|was|are|were) (?P<rest>.+)", "{rest} {be} {answer}."),
        (r"what (?:did|does|do) (?P<rest>.+)", "What {rest} is {answer}."),
        (r"(?:what|which) (?P<rest>\w+ (?!(?:did|do|does|is|was|are|were|of)\b).+)", "The {rest}, namely {answer}."),
    ],
    "es": [
        (r"quién(?:es)? (?P<rest>.+)", "Fue {answer} quien {rest}."),
        (r"cuál(?:es)? (?P<be>es|era|fue|son|eran) (?P<rest>.+)", "{rest} {be} {answer}."),
        (r"cuánt[oa]s (?P<rest>.+)", "El número de {rest} es {answer}."),
        (r"(?:en qué año|cuándo) (?P<rest>.+)", "El momento en que {rest} es {answer}."),
        (r"(?:en )?dónde (?P<rest>.+)", "El lugar donde {rest} es {answer}."),
        (r"qué (?P<be>es|era|fue|son|eran) (?P<rest>.+)", "{rest} {be} {answer}."),
        (r"qué (?P<rest>.+)", "Lo que {rest} es {answer}."),
    ],
    "id": [
        (r"siapa(?:kah)? (?P<rest>.+)", "{rest} adalah {answer}."),
        (r"kapan(?:kah)? (?P<rest>.+)", "{rest} pada {answer}."),
        (r"di ?mana(?:kah)? (?P<rest>.+)", "{rest} di {answer}."),
        (r"berapa(?:kah)? (?P<rest>.+)", "{rest} adalah {answer}."),
        (r"apa(?:kah)? (?P<rest>.+)", "{rest} adalah {answer}."),
    ],
}


def statement_of(question: str, answer: str, language: str) -> str | None:
    """What the two say together as a sentence, None where no rule fits the question."""
    asked = question.strip().strip("¿?! .")
    for pattern, statement in _STATEMENTS[language]:
        found = re.fullmatch(pattern, asked, re.IGNORECASE)
        if found:
            said = statement.format(answer=answer.strip(" ."), **found.groupdict())
            return said[0].upper() + said[1:]
    return None


def reworded(sentence: str, language: str) -> str | None:
    """The sentence with at least two changes by `_CHANGES`, None where fewer fit."""
    text, changes = sentence, 0
    for change in (*_FORMATS, _passive_to_active):
        made = change(text) if language == "en" or change is not _passive_to_active else text
        changes += made != text
        text = made
    for one, other in SYNONYMS[language]:
        made = re.sub(rf"\b{one}\b", other, text, count=1)
        changes += made != text
        text = made
    return text if changes >= 2 else None


def _thousands(text: str) -> str:
    """1,200 as 1200; 1.200 too."""
    return re.sub(r"(?<![\d.,])(\d{1,3})[.,](\d{3})(?![\d.,])", r"\1\2", text)


def _percent(text: str) -> str:
    return re.sub(r"(\d) ?%", r"\1 percent", text)


def _iso(text: str) -> str:
    """March 12, 2026 and 12 March 2026 as 2026-03-12."""
    months = "|".join(_MONTHS)

    def iso(year: str, month: str, day: str) -> str:
        return f"{year}-{_MONTHS.index(month) + 1:02}-{int(day):02}"

    text = re.sub(rf"({months}) (\d{{1,2}}), (\d{{4}})", lambda found: iso(found[3], found[1], found[2]), text)
    return re.sub(rf"(\d{{1,2}}) ({months}) (\d{{4}})", lambda found: iso(found[3], found[2], found[1]), text)


def _digits(text: str) -> str:
    """two as 2, to ten."""
    words = _COUNTED.split()
    return re.sub(rf"(?<![\w-])({'|'.join(words)})\b(?!-)", lambda found: str(words.index(found[1]) + 2), text)


def _passive_to_active(text: str) -> str:
    """The bridge was designed by Ann. → Ann designed the bridge."""
    found = re.fullmatch(r"([^,;:]{3,70}?) (?:was|were) (\w{3,}ed) by ([^,;:]{3,70})\.", text)
    if not found:
        return text
    agent, patient = found[3], found[1]
    patient = patient[0].lower() + patient[1:] if patient.startswith("The ") else patient
    return f"{agent[0].upper()}{agent[1:]} {found[2]} {patient}."


_FORMATS: tuple[Change, ...] = (_thousands, _percent, _iso, _digits)
