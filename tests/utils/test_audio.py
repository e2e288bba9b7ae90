"""What is told of a recording before an endpoint is asked."""

from struct import pack

from utils.audio import is_silent


def test_a_wav_whose_part_says_to_be_longer_than_the_whole_is_left_to_the_endpoint() -> None:
    head = b"RIFF" + pack("<I", 60) + b"WAVE" + b"junk" + pack("<I", 500)
    assert not is_silent(head + bytes(600))
