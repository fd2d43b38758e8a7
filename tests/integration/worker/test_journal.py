"""What a pod leaves of its shard in S3, and what the next one makes of it."""

import pytest
from transcription_api.spec import parse_spec
from transcription_api.task import Task
from transcription_worker.batch import journal as module
from transcription_worker.batch.entries import encode_lines
from transcription_worker.batch.journal import Journal, read_history
from transcription_worker.batch.outcomes import DONE, FAILED, Row
from transcription_worker.batch.run_objects import RunObjects
from transcription_worker.paths import Paths

from tests.support.worker_container import WorkerContainer, written_objects

RUN = "_runs/many-7c1dbb0a/"
FAILURE, RESULTS = Row(0, "0.wav", FAILED, reason="EndpointUnreachable"), Row(0, "0.wav", DONE)


@pytest.fixture
def objects(container: WorkerContainer, prefix: str) -> RunObjects:
    paths = Paths(container.root)
    paths.scratch.mkdir(parents=True, exist_ok=True)
    return RunObjects(Task("team-a", "many", "7c1dbb0a", {}), parse_spec(container.spec("unused", prefix)), paths)


def test_full_objects_of_rows_are_not_written_again(
    objects: RunObjects, container: WorkerContainer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_IN_OBJECT", 2)
    journal = Journal(objects, 0, 0)
    journal.keep(Row(99, "earlier.wav", DONE))
    for number in range(5):
        journal.settle(Row(number, f"{number}.wav", DONE))
        journal.flush()
    journal.end()
    written = written_objects(container.server, f"{prefix}{RUN}shards/00000/")
    assert [body.count(b"\n") for name, body in written.items() if name.endswith(".rows.jsonl")] == [2, 2, 1]
    assert sorted(read_history(objects, 0).settled) == [0, 1, 2, 3, 4]
    assert sorted(row.number for row in journal.rows) == [0, 1, 2, 3, 4, 99]


def test_a_pod_that_died_with_a_file_alone_leaves_the_other_suspects_to_the_next_one(objects: RunObjects) -> None:
    for pod in range(2):
        Journal(objects, 0, pod).announce(0, range(6))
    journal = Journal(objects, 0, 2)
    journal.announce_alone(0, [1, 2, 3])
    journal.settle(Row(0, "0.wav", DONE))
    journal.flush()
    journal.announce_alone(1, [2, 3])
    history = read_history(objects, 0)
    assert (history.deaths, history.culprit, history.suspects) == (3, 1, (1, 2, 3))


def test_a_file_is_announced_once_with_those_that_follow_it(objects: RunObjects, container: WorkerContainer) -> None:
    journal = Journal(objects, 0, 0)
    before = len(container.server.requests())
    for number in range(6):
        journal.announce(number, range(number, number + 4))
    assert sum("PutObject" in line for line in container.server.requests()[before:]) == 2


def test_a_failure_of_a_pod_that_nobody_heard_of_leaves_the_results_of_the_other_one(objects: RunObjects) -> None:
    for shard, rows in enumerate(([FAILURE, RESULTS], [RESULTS, FAILURE])):
        for number, row in enumerate(rows):  # pods of one number have names whose order is by chance
            objects.write(f"shards/{shard:05}/000-{number:08}.0000.rows.jsonl", encode_lines([row]), "text/plain")
        assert read_history(objects, shard).settled == {0: RESULTS}


@pytest.mark.parametrize(
    "body", [b"{", b"[" * 100_000, b'{"number": "one"}', b'{"number": 1, "key": "1.wav"}', b"\xff"]
)
def test_what_cannot_be_read_of_a_journal_is_left_out_and_the_rest_counts(objects: RunObjects, body: bytes) -> None:
    journal = Journal(objects, 0, 0)
    journal.settle(RESULTS)
    journal.end()
    name = next(name for name in objects.names("shards/") if name.endswith(".rows.jsonl"))
    (line,) = objects.rows(name)
    objects.write(name, body + b"\n" + encode_lines([line]), "application/x-ndjson")
    objects.write("shards/00000/001-00000000.note.json", body, "application/json")
    history = read_history(objects, 0)
    assert history.settled == {0: RESULTS}
    assert history.deaths <= 1
