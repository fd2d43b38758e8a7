"""Which file an engine takes next, and which one an engine's process is said to have died of."""

from transcription_worker.batch.entries import Entry
from transcription_worker.batch.file_queue import FileQueue


def files(*seconds: float) -> list[Entry]:
    """Return files of these lengths."""
    return [Entry(number, f"{number}.wav", "etag", 1, length) for number, length in enumerate(seconds)]


def take_all(queue: FileQueue, engine: int = 0) -> list[int]:
    """Return the numbers of the files that an engine is given until it must come to their end."""
    taken = []
    while (entry := queue.take(engine)) is not None:
        taken.append(entry.number)
    return taken


def settle(queue: FileQueue, numbers: list[int], engine: int = 0) -> None:
    for number in numbers:
        queue.settle(engine, number)


def test_one_engine_takes_the_files_in_their_order() -> None:
    assert take_all(FileQueue(files(30, 90, 60), 1)) == [0, 1, 2]


def test_engines_get_about_the_same_work_and_help_out_at_the_end() -> None:
    queue = FileQueue(files(90, 60, 60, 30, 30, 30), 2)
    first = queue.take(0)
    assert first is not None
    assert first.number == 0
    assert take_all(queue, 1) == [1, 2, 5, 4, 3]  # its own part, and then the shortest of the other's
    assert take_all(queue, 0) == []


def test_files_under_way_at_a_death_are_taken_together_once_more_and_may_have_results() -> None:
    queue = FileQueue(files(30, 30, 30), 1)
    queue.take(0)
    settle(queue, [0])
    queue.take(0)
    assert queue.lose(0) == (1, None)
    entry = queue.take(0)
    assert entry is not None
    assert (entry.number, entry.found) == (1, True)
    assert take_all(queue) == [2]


def test_after_two_deaths_files_are_taken_alone_and_one_that_is_died_of_is_the_culprit() -> None:
    queue = FileQueue(files(30, 30), 2)
    for _ in range(2):
        assert take_all(queue, 0) == [0, 1]
        queue.lose(0)
    assert queue.alone == [0, 1]
    first, second = queue.take(1), queue.take(0)  # each engine takes one, and nothing beside it
    assert first is not None
    assert second is not None
    assert queue.take(1) is queue.take(0) is None
    queue.settle(1, first.number)
    assert queue.lose(0) == (1, second)
    assert take_all(queue, 0) == take_all(queue, 1) == []


def test_files_that_are_taken_alone_come_last() -> None:
    queue = FileQueue(files(30, 30), 1)
    for _ in range(2):
        queue.take(0)
        queue.lose(0)
    assert take_all(queue) == [1]
    settle(queue, [1])
    assert take_all(queue) == [0]


def test_killers_that_lie_side_by_side_are_all_found_with_two_deaths_and_one_for_each() -> None:
    killers = {3, 4, 5, 6, 20}
    queue, deaths, culprits, done = FileQueue(files(*[30.0] * 40), 1), 0, set[int](), list[int]()
    while (entry := queue.take(0)) is not None:
        under_way = [entry.number]
        while not killers & set(under_way) and (more := queue.take(0)) is not None:
            under_way.append(more.number)
        if killers & set(under_way):
            deaths += 1
            _, culprit = queue.lose(0)
            culprits |= {culprit.number} if culprit is not None else set()
        else:
            settle(queue, under_way)
            done += under_way
    assert culprits == killers
    assert sorted(done) == sorted(set(range(40)) - killers)
    assert deaths <= 3 * len(
        killers
    )  # two with others, which this engine dies of before it comes to their end, and one alone


def test_deaths_in_a_row_end_with_a_file_that_an_engine_comes_to_the_end_of() -> None:
    queue = FileQueue(files(30, 30), 1)
    queue.take(0)
    queue.lose(0)
    assert queue.deaths_in_a_row(0) == 1
    queue.take(0)
    queue.settle(0, 0)
    assert queue.deaths_in_a_row(0) == 0


def test_a_death_without_a_file_blames_none() -> None:
    queue = FileQueue(files(30), 1)
    assert queue.lose(0) == (0, None)
    assert take_all(queue) == [0]


def test_a_file_for_which_the_disk_was_too_full_is_taken_again_alone_and_only_once() -> None:
    queue = FileQueue(files(30, 30), 1)
    assert take_all(queue) == [0, 1]
    assert queue.postpone(0, 0)
    settle(queue, [1])
    assert take_all(queue) == [0]
    assert not queue.postpone(0, 0)
