"""What is kept, and for how long."""

from utils.expiring import Expiring


def test_a_value_is_kept_for_its_time_and_no_longer() -> None:
    now = 0.0
    kept: Expiring[str, int] = Expiring(5, 10, clock=lambda: now)
    kept.put("a", 1)
    now = 9.9
    assert kept.get("a") == 1
    now = 10.0
    assert kept.get("a") is None
    assert len(kept) == 0


def test_the_one_asked_for_longest_ago_makes_room() -> None:
    kept: Expiring[str, int] = Expiring(2, 10)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]


def test_a_value_put_again_is_new_and_takes_no_second_place() -> None:
    now = 0.0
    kept: Expiring[str, int] = Expiring(2, 10, clock=lambda: now)
    kept.put("a", 1)
    now = 5.0
    kept.put("a", 2)
    kept.put("b", 3)
    now = 12.0
    assert (kept.get("a"), kept.get("b")) == (2, 3)
    assert (kept.hits, kept.misses) == (2, 0)
