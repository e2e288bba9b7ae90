"""Whether a sentence denies what its source says, or says what its source denies."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from agents.verification.facts import shares_order
from agents.verification.sources import SourceSentence
from utils.facts.polarity import Negation, find_denying, find_negations, find_opposed, tokenize

_SAME = 0.75  # of the words of two sentences in the same order
_STEM = 5  # letters that two forms of a word share
_SHORT = 3  # words of fewer letters carry no meaning that could be denied
_WINDOW = 4  # words before a clip that may deny it
_CONNECTING = "and but or nor so because although y pero sino ni porque aunque dan tetapi atau karena"
_MOST = 20  # denials of a sentence that are compared with those of another
_REPLACED = 2  # words by which two sentences differ whose one has the opposite of the other


def describe_contradiction(claim: str, sentence: SourceSentence, language: str) -> str:
    """How *claim* and *sentence*, which speak of the same, deny each other, in words, "" where they do not."""
    ours, theirs = tokenize(claim), sentence.tokens
    our_words, their_words = {word for word, _ in ours}, {word for word, _ in theirs}
    ours_denied, theirs_denied = find_negations(ours, language)[:_MOST], find_negations(theirs, language)[:_MOST]
    opposite = find_opposed(our_words, their_words)
    if opposite is None and (word := _find_added_denial(ours, theirs, language)):
        return f'"{word}" stands in one of the two only: here or'
    for negation in ours_denied:
        if not _is_also_denied(negation, theirs_denied) and _is_about_any(negation, their_words) and opposite is None:
            return f'"{negation.word}" has nothing that answers to it'
    for negation in theirs_denied:
        if not _is_also_denied(negation, ours_denied) and _is_repeated(negation, our_words) and opposite is None:
            return f'what this says is denied by "{negation.word}"'
    if opposite and not ours_denied and not theirs_denied and len(_select_long(our_words - their_words)) <= _REPLACED:
        return f'"{opposite[1]}" stands where this has "{opposite[0]}"'
    return ""


def _find_added_denial(ours: Sequence[tuple[str, int]], other_tokens: Sequence[tuple[str, int]], language: str) -> str:
    """A denying word by which two sentences of the same words in the same order differ, "" where there is none."""
    one, other = [word for word, _ in ours], [word for word, _ in other_tokens]
    if not shares_order(one, other, least=_SAME):
        return ""
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    for index, (kind, a, b, c, d) in enumerate(codes):
        here, there = find_denying(one[a:b], language), find_denying(other[c:d], language)
        inside = 0 < index < len(codes) - 1 and codes[index - 1][0] == codes[index + 1][0] == "equal"
        if kind != "equal" and (here or (there and inside)) and not (here and there):
            return (here or there)[0]
    return ""


def find_denial_before(spelled: str, clip: str, language: str) -> str:
    """The word just before *clip* in the sentence *spelled* (`spelled_out`) that denies it, "" where there is none."""
    before = [(word, 0) for word in spelled[: spelled.index(clip)].split()[-_WINDOW:]]
    for index in range(len(before) - 1, -1, -1):
        if before[index][0] in _CONNECTING.split():
            return ""
        if find_negations(before[index : index + 2], language):
            return before[index][0]
    return ""


def _is_also_denied(negation: Negation, others: Iterable[Negation]) -> bool:
    scope = _find_stems((*negation.bears_on, *negation.before))
    return any(scope & _find_stems((*other.bears_on, *other.before)) for other in others)


def _is_about_any(negation: Negation, words: Iterable[str]) -> bool:
    """Whether what is denied is spoken of at all, so that the denial is not about something the source leaves out."""
    return bool(_find_stems((*negation.bears_on, *negation.before)) & _find_stems(words))


def _is_repeated(negation: Negation, words: set[str]) -> bool:
    """Whether *words* hold what is denied: the first word that it bears on, and half of the others."""
    scope = _select_long(negation.bears_on)
    stems = _find_stems(words)
    here = [word for word in scope if word[:_STEM] in stems]
    return bool(scope) and scope[0][:_STEM] in stems and 2 * len(here) >= len(scope)


def _find_stems(words: Iterable[str]) -> set[str]:
    return {word[:_STEM] for word in _select_long(words)}


def _select_long(words: Iterable[str]) -> Sequence[str]:
    return [word for word in words if len(word) > _SHORT]
