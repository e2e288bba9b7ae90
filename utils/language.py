"""Which language a text is in, among those the service has texts and word lists for."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

LANGUAGES = ("en", "id", "es")
_SURE = 0.6  # below it a greeting like "Hello" is called Spanish


def detect_language(text: str, *, default: str = "en") -> str:
    """The ISO 639-1 code of the most likely of `LANGUAGES`, or *default* where the text is too short to tell."""
    language, probability = _identifier().classify(text)
    return str(language) if probability >= _SURE else default


@cache
def _identifier() -> LanguageIdentifier:
    # Loading the model takes a good part of a second: once, and only where a language is asked for.
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier
