"""What a follow-up leaves unsaid: the words that the question and the answer before it are about."""

import re
from collections import defaultdict

from utils.language import detect_language
from utils.words import hash_content_words

_MOST = 6
_QUESTION_LOOKED_AT = 1000  # characters
_ANSWER_LOOKED_AT = 300  # an answer says first what it is about
# A word of the question before counts more than one of its answer, a name or number more than any other.
_ASKED, _ANSWERED, _NAME = 1.5, 1.0, 2.0
_SHORTEST = 3  # letters
_STEM = 5  # letters that two forms of a word share
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


def choose_topic_words(question: str, previous: str, answer: str) -> str:
    """The words, at most six, that say most of what the conversation is about and are not in *question*.

    *previous* and *answer* are the question before it and its answer. Searched for with and without them
    (`SearchOptions.context`), follow-ups of MTRAG-UN find the right passage first in .90 of 173; without them it is
    .75, with the rules of `providers/chat/followups.py` .81 (`benchmarks/followups.py`).
    """
    stems = {_hash_stem(word) for word in _WORD.findall(question)}
    weights, spelled = defaultdict[str, float](float), dict[str, str]()
    for text, weight in ((previous[:_QUESTION_LOOKED_AT], _ASKED), (answer[:_ANSWER_LOOKED_AT], _ANSWERED)):
        language = detect_language(text)
        for place, word in enumerate(_WORD.findall(text)):
            stem = _hash_stem(word)
            if stem in stems or len(word) < _SHORTEST or not hash_content_words(word, language):
                continue
            is_name = (place > 0 and word[0].isupper()) or any(map(str.isdigit, word))
            weights[stem] += weight * (_NAME if is_name else 1)
            spelled.setdefault(stem, word)
    return " ".join(spelled[stem] for stem, _ in sorted(weights.items(), key=lambda each: -each[1])[:_MOST])


def _hash_stem(word: str) -> str:
    return word.casefold()[:_STEM]
