"""The size of a decode batch follows the memory that there is."""

from transcription_worker.engines.batched.scheduling.slot_limit import FIRST_PATIENCE, LONGEST_PATIENCE, SlotLimit


def decode(limit: SlotLimit, windows: int) -> int:
    """Count windows one by one until the limit changes, at most so many. Return how many that took."""
    before = limit.slots
    for count in range(1, windows + 1):
        limit.count(1)
        if limit.slots != before:
            return count
    return windows


def test_after_windows_were_decoded_for_a_while_twice_as_many_are_tried() -> None:
    limit = SlotLimit(8)
    limit.lower(2)
    assert decode(limit, 100) == 2 * FIRST_PATIENCE
    assert limit.slots == 4
    assert decode(limit, 100) == 4 * FIRST_PATIENCE
    assert limit.slots == 8
    assert decode(limit, 1000) == 1000


def test_a_limit_that_proves_too_high_is_tried_ever_less_often() -> None:
    limit, waits = SlotLimit(2), list[int]()
    limit.lower(1)
    for _ in range(10):
        waits.append(decode(limit, 10_000))
        limit.lower(1)
    assert waits[:3] == [FIRST_PATIENCE, 2 * FIRST_PATIENCE, 4 * FIRST_PATIENCE]
    assert waits[-1] == LONGEST_PATIENCE


def test_no_limit_is_below_one_window_and_a_found_defect_lifts_it() -> None:
    limit = SlotLimit(8)
    limit.lower(0)
    assert limit.slots == 1
    limit.reset()
    assert limit.slots == 8
