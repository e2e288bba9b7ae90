"""Which language a text is in."""

from functools import cache, lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from utils.normal_forms import limit_marks

LANGUAGES = ("en", "id", "es")  # those the service has texts and word lists for
_SHORT = 300  # characters of a text, such as a question, that several ask about
_SURE = 0.6  # below it a greeting like "Hello" is called Spanish


def detect_language(text: str, *, default: str = "en") -> str:
    """The ISO 639-1 code of the most likely of `LANGUAGES`, or *default* where the text is too short to tell."""
    language, probability = choose_most_likely(text, LANGUAGES)
    return language if probability >= _SURE else default


def choose_most_likely(text: str, among: tuple[str, ...]) -> tuple[str, float]:
    """The most likely of the ISO 639-1 codes *among*, and how likely it is, 0 to 1."""
    text = limit_marks(text)
    return _rank_likely(text, among) if len(text) <= _SHORT else _rank_likely.__wrapped__(text, among)


@lru_cache(2048)
def _rank_likely(text: str, among: tuple[str, ...]) -> tuple[str, float]:
    language, probability = _load_identifier(among).classify(text)
    return str(language), float(probability)


@cache
def _load_identifier(among: tuple[str, ...]) -> LanguageIdentifier:
    # Loading the model takes a good part of a second: once, and only where a language is asked for.
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(among))
    return identifier
