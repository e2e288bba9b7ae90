"""Whether text is garbled: letters of a wrong encoding, or of a font that does not say what it shows.

It looks for what words of no language have, so that the language need not be known.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

SAMPLE_CHARACTERS = 20_000
MIN_WORDS = 8  # fewer prove nothing
MAX_ODD, FEW_ODD = 0.12, 4  # odd words: a share of all, and a number besides; formulas, code and tables have fewer
MIN_ODD = 3  # in a line
SHORTEST_PART = 3.5  # letters between capital letters inside a word, on average: names in programs have more
MAX_UNKNOWN = 0.25  # of the characters; ticks and bullets of symbol fonts are fewer
UNKNOWN = re.compile("[\ue000-\uf8ff\ufffd\U000f0000-\U0010ffff]")  # private-use and replacement characters
MIN_SYLLABLES = 60
COMMON_SYLLABLES = frozenset(
    "이다는을의에가고은하로한지를사기도서자대어인과리시정아해그나일제수부주스보적니습라있었것들"
)
MIN_COMMON = 0.05  # of all syllables of a Korean text: usual ones have a third, tables of names a fifth
WITH_VOWELS = frozenset({"LATIN", "CYRILLIC", "GREEK"})
VOWELS = frozenset("aeiouyæœøıаеёиоуыэюяіїєѣѵαεηιουω")
MIN_LATIN_WORDS = 30
MIN_VOWELS = 0.24  # of the letters of Latin words: texts of any language have .33 or more, lists of commands .27
LONGEST_ABBREVIATION = 5  # in capital letters
EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "FULLWIDTH", "HALFWIDTH", "IDEOGRAPHIC"})
SCRIPTS = frozenset(
    {"LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "BENGALI", "TAMIL", "THAI", "LAO", "GEORGIAN"}
    | {"ARMENIAN", "ETHIOPIC", "KHMER", "MYANMAR", "SINHALA", "GUJARATI", "TELUGU", "KANNADA", "MALAYALAM", "ORIYA"}
    | {"TIBETAN", "CHEROKEE", "CANADIAN", "MONGOLIAN", "SYRIAC", "THAANA", "TIFINAGH", "COPTIC", "EGYPTIAN"}
    | EAST_ASIAN
)
_MIXABLE = (EAST_ASIAN | {"LATIN"}, frozenset({"LATIN", "GREEK"}), frozenset({"LATIN", "ARABIC"}))
# With two letters at least; each character is looked at once, however long a run without blanks is.
_WORD = re.compile(r"(?<!\S)(?:[^\w\s]|[\d_])*+[^\W\d_](?:[^\w\s]|[\d_])*+[^\W\d_]\S*+")
_LETTERS = re.compile(r"[^\W\d_]+")
_ADDRESS = re.compile(r"://|www\.|@\w+\.\w|%[0-9A-F]{2}")
_SIGN_INSIDE = re.compile(r"(?<=[^\W\d_])[\"#$%&;<>?@!~\\]+(?=[^\W\d_])")
_WESTERN_SIGN = re.compile(r"(?<=[^\W\d_])[¢-©«-±´¶-¹»¿×÷‚„†‡ˆ‰‹›]+(?=[^\W\d_])")
_DIGITS_INSIDE = re.compile(r"[a-z]{2}\d+[a-z]{2}|[a-z]\d+[a-z]+\d+[a-z]")
_CONSONANTS = re.compile(r"^[^aeiouy]{4,}$|[^aeiouy]{6}", re.IGNORECASE)
_LATIN_WORD = re.compile(r"(?<![^\W\d_])[a-zA-Z]{3,}(?![^\W\d_])")
_LATIN_VOWEL = re.compile("[aeiouy]")
_HUMP = re.compile(r"(?=[a-zà-ÿ][A-ZÀ-Þ])")
_SIGNS = frozenset("!\"#$%&'*+;<=>?@\\^`~")
MORE_SIGNS = 1.2  # than letters in words
_SHORTEST, _MIN_SIGNS = 4, 4
SHORT_RUN = 2.5  # letters between signs, on average


def is_garbled(text: str) -> bool:
    """Whether too many characters, syllables or words of *text* belong to no language. A few words never do."""
    sample = text[:SAMPLE_CHARACTERS]
    if not sample or sample.isascii():
        return _has_odd_words(sample)
    unknown, count = len(UNKNOWN.findall(sample)), len(sample) - sample.count(" ") - sample.count("\n")
    return unknown > max(MIN_WORDS, MAX_UNKNOWN * count) or _lacks_common_syllables(sample) or _has_odd_words(sample)


def is_garbled_line(line: str) -> bool:
    """Whether a line of a page has hardly a word: signs between its letters, or letters that make no words."""
    signs = [character for character in line if character in _SIGNS]
    if len(signs) >= _MIN_SIGNS and len(set(signs)) >= _MIN_SIGNS:
        in_words = sum(len(run) for run in _LETTERS.findall(line) if len(run) > 1)
        if len(signs) > MORE_SIGNS * in_words:
            return True
    words = _WORD.findall(line)
    if len(words) < MIN_ODD:
        return False
    odd = sum(_find_oddity(word) is not None for word in words)
    return odd >= MIN_ODD and 2 * odd > len(words)


def _has_odd_words(text: str) -> bool:
    words = set(_WORD.findall(text))
    if _lacks_vowels(text):
        return True
    odd = {_find_oddity(word) for word in words} - {None}
    return len(words) >= MIN_WORDS and len(odd) >= FEW_ODD + MAX_ODD * len(words)


def _lacks_vowels(text: str) -> bool:
    """Whether its Latin words have too few vowels, as when each letter stands for another one."""
    words = {word.casefold() for word in _LATIN_WORD.findall(text)}
    letters, vowels = sum(map(len, words)), sum(len(_LATIN_VOWEL.findall(word)) for word in words)
    return len(words) >= MIN_LATIN_WORDS and vowels < MIN_VOWELS * letters


def _lacks_common_syllables(text: str) -> bool:
    """Whether its Hangul has rare syllables alone, as Cyrillic in a wrong encoding has."""
    counts = Counter(character for character in text if "가" <= character <= "힣")
    common = sum(count for syllable, count in counts.items() if syllable in COMMON_SYLLABLES)
    return counts.total() >= MIN_SYLLABLES and common < MIN_COMMON * counts.total()


@lru_cache(16_384)
def _find_oddity(word: str) -> str | None:
    """What in *word* no language has: some of its letters, or the whole word with signs inside; None if nothing."""
    runs = _LETTERS.findall(word)
    odd = next(filter(_is_odd, runs), None)
    if odd is None and any(run.isascii() or _get_script(run[0]) in WITH_VOWELS for run in runs):
        is_short = sum(map(len, runs)) < SHORT_RUN * len(runs)
        if (is_short and _SIGN_INSIDE.search(word)) or _WESTERN_SIGN.search(word) or _DIGITS_INSIDE.search(word):
            odd = word
    return None if odd is None or _ADDRESS.search(word) else odd.casefold()


def _is_odd(run: str) -> bool:
    if run.isascii():
        return (bool(_CONSONANTS.search(run)) and not _may_lack_vowel(run)) or _has_random_capitals(run)
    return _is_mixed(run) or _is_unpronounceable(run) or _has_random_capitals(run)


def _is_mixed(run: str) -> bool:
    """Whether it has letters of scripts that nobody mixes in a word."""
    result = {_get_script(letter) for letter in run} & SCRIPTS
    return len(result) > 1 and not any(result <= mixable for mixable in _MIXABLE)


def _has_random_capitals(run: str) -> bool:
    humps = len(_HUMP.findall(run))
    return humps >= 2 and len(run) < SHORTEST_PART * (humps + 1)


def _may_lack_vowel(run: str) -> bool:
    """Whether it is an abbreviation, or one letter again and again."""
    return (run.isupper() and len(run) <= LONGEST_ABBREVIATION) or len(set(run.casefold())) == 1


def _is_unpronounceable(run: str) -> bool:
    """Whether a word has no vowel, or too many consonants in a row, or accented letters alone."""
    if len(run) < _SHORTEST or _may_lack_vowel(run) or not all(_get_script(letter) in WITH_VOWELS for letter in run):
        return False
    if _get_script(run[0]) == "LATIN" and not any(map(str.isascii, run)):
        return True
    plain = [letter for letter in unicodedata.normalize("NFD", run.lower()) if not unicodedata.combining(letter)]
    return bool(_CONSONANTS.search("".join("a" if letter in VOWELS else "b" for letter in plain)))


@lru_cache(8192)
def _get_script(letter: str) -> str:
    """The first word of the letter's name, which is its script."""
    return unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
