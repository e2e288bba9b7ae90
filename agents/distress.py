"""Tells whether somebody says that they want to die or to hurt themselves, in the words people use for it.

A clear phrase anywhere in a message decides, whatever else is asked in it: to miss one is worse than to answer one
question less. Phrases that are also said of other things are not among them ("I want to live here no more").
"""

import re
from collections.abc import Mapping

from utils.facts.folding import fold

_LOOKED_AT = 4_000  # characters
_ENDS = r"(?= *(?:$|[.,;:!?]| (?:because|but|and|porque|pero|y|karena|tapi|dan)\b))"
_PHRASES: Mapping[str, str] = {
    "en": r"\b(?:kill|killing|unalive) myself\b"
    r"|\b(?:want to|wanna|going to|gonna|feel like|thinking (?:of|about)) (?:hurt|harm|cut)(?:t?ing)? myself\b"
    r"|\b(?:want to|wanna|going to|gonna|will|thinking (?:of|about)) commit(?:ting)? suicide\b"
    r"|\bi(?: am|m| feel)(?: feeling)? suicidal\b|\bi (?:have|keep having) suicidal thoughts\b"
    r"|\b(?:i think|i am thinking|im thinking|i keep thinking) (?:of|about) suicide\b"
    r"|\bi (?:just |really |only )?(?:want to|wanna) die\b(?! (?:laughing|casting|of)\b)|\bi feel like dying\b"
    rf"|\bi (?:do not|dont|no longer) (?:want to|wanna) live(?: any ?more| any longer)?{_ENDS}"
    rf"|\bi (?:can not|cannot|cant) (?:live|go on living) any ?more{_ENDS}"
    r"|\b(?:end|ending|take|taking) my (?:own )?life\b(?! (?:insurance|membership|policy|jacket|vest)\b)"
    rf"|\b(?:end|ending) it all\b|\b(?:no reason|nothing left) to live(?: for)?(?: any ?more)?{_ENDS}"
    r"|\blife is not worth living\b|\bi (?:would |d )?(?:be better off|rather be|wish i was|wish i were) dead\b"
    r"|\bid rather be dead\b|\bbetter off dead\b"
    r"|\bi (?:have |ve )?(?:took|taken) (?:all my pills|an overdose)\b",
    "es": r"\bquiero (?:morir|morirme)\b(?! de\b)|\bme quiero morir\b(?! de\b)"
    r"|\bquiero (?:matarme|suicidarme|hacerme dano)\b|\bme (?:quiero|voy a) (?:matar|suicidar)\b"
    r"|\bvoy a (?:matarme|suicidarme)\b|\bpienso (?:mucho |siempre )?en (?:el suicidio|suicidarme|matarme|morirme)\b"
    rf"|\bno quiero (?:vivir|seguir viviendo)(?: mas)?{_ENDS}"
    r"|\bquitarme la vida\b|\bacabar con mi vida\b|\bojala estuviera muert[oa]\b"
    r"|\bmi vida no (?:vale nada|tiene sentido)\b",
    "id": r"\b(?:ingin|mau|pengen|pengin|pingin|akan|kepikiran|terpikir) (?:mati|bunuh diri)\b"
    r"(?! (?:lampu|listrik|air)\b|-)"
    r"|\b(?:mengakhiri|akhiri) hidup(?:ku|(?: saya| aku| ini)?\b)"
    r"|\b(?:tidak|tak|gak|ga|nggak|ngga|enggak|tdk|gk) (?:mau|ingin|pengen|sanggup|kuat) hidup lagi\b"
    rf"|\bcapek? hidup{_ENDS}|\b(?:ingin|mau|pengen) menyakiti diri\b|\blebih baik (?:aku|saya) mati\b"
    r"|\bhidup(?:ku| saya) (?:tidak|gak|ga|nggak) berarti\b",
    "": r"\bich (?:will|mochte) (?:sterben|nicht mehr leben|mich umbringen)\b|\bje veux (?:mourir|me tuer)\b"
    r"|\bquero (?:morrer|me matar)\b",
}
_PATTERNS = {language: re.compile(pattern) for language, pattern in _PHRASES.items()}


def find_distress(message: str) -> str | None:
    """The language in which *message* says so (ISO 639-1; "en" where it is none of ours), None where it does not."""
    plain = " ".join(fold(message[:_LOOKED_AT]).replace("'", "").split())
    return next((language or "en" for language, pattern in _PATTERNS.items() if pattern.search(plain)), None)
