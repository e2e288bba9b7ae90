"""What is told of a recording before an endpoint is asked."""

from struct import pack

import pytest

from utils.audio import has_samples, is_silent

HEAD, EMPTY, SAMPLES = b"RIFF\0\0\0\0WAVE", b"junk\0\0\0\0", b"data\0\0\0\0"


def test_a_wav_whose_part_says_to_be_longer_than_the_whole_is_not_said_to_be_silent() -> None:
    head = b"RIFF" + pack("<I", 60) + b"WAVE" + b"junk" + pack("<I", 500)
    assert not is_silent(head + bytes(600))


@pytest.mark.parametrize(
    ("wav", "has"),
    [
        (HEAD, False),
        (HEAD + SAMPLES[:7], False),
        (HEAD + SAMPLES, True),
        (HEAD + b"data\xff\xff\xff\xff", True),  # a stream, which does not know its length
        (HEAD + b"odd \1\0\0\0ab" + SAMPLES, True),
        (HEAD + b"junk\xff\0\0\0" + SAMPLES, False),
        (HEAD + EMPTY * 99 + SAMPLES, True),
        (HEAD + EMPTY * 100 + SAMPLES, False),
    ],
)
def test_the_samples_of_a_wav_stand_in_one_of_its_first_hundred_chunks(wav: bytes, has: bool) -> None:
    assert has_samples(wav) is has
