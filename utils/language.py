"""Which language a text is in."""

from functools import cache, lru_cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from utils.normal_forms import limit_marks

LANGUAGES = ("en", "id", "es")  # those the service has texts and word lists for
# Those that texts are told from. Without the close relatives of a language that is here (Malay, Javanese, Galician …):
# a short text is too easily taken for one of them.
PLAUSIBLE = (
    *("en", "id", "es", "de", "fr", "it", "pt", "nl", "pl", "sv", "tr", "vi"),
    *("ru", "uk", "el", "ar", "he", "fa", "hi", "th", "zh", "ja", "ko"),
)
_CLEARLY = 0.9  # of 5,246 questions in our three languages four are taken for another one, each with a foreign name
_SHORT = 300  # characters of a text, such as a question, that several ask about
_SURE = 0.6  # below it a greeting like "Hello" is called Spanish


def detect_language(text: str, *, default: str = "en") -> str:
    """The ISO 639-1 code of the most likely of `LANGUAGES`, or *default* where the text is too short to tell."""
    language, probability = choose_most_likely(text, LANGUAGES)
    return language if probability >= _SURE else default


def detect_any_language(text: str, *, default: str = "en") -> str:
    """The language of `detect_language`, or the code of another one where *text* clearly is in that."""
    language, probability = choose_most_likely(text, PLAUSIBLE)
    if language not in LANGUAGES and probability >= _CLEARLY:
        return language
    return detect_language(text, default=default)


def load_models() -> None:
    """Load what languages are told by: it takes a good part of a second, which no question is to wait for."""
    for among in (LANGUAGES, PLAUSIBLE):
        _load_identifier(among)


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
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(among))
    return identifier
