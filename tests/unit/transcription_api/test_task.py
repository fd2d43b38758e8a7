"""The worker reads its task as the operator wrote it."""

import pytest
from transcription_api.task import Task, encode_task, parse_task

SPEC = {
    "source": {"s3": {"bucket": "audio", "key": "á.wav"}},
    "destination": {"s3": {"bucket": "transcripts"}},
}
TASK = Task("team-a", "interview-x", "8a0c", SPEC)


def test_a_task_reads_back_as_it_was_written() -> None:
    assert parse_task(encode_task(TASK)) == TASK
    assert parse_task(encode_task(TASK)).parsed().source.s3.key == "á.wav"


def test_the_same_task_gives_the_same_line() -> None:
    shuffled = Task("team-a", "interview-x", "8a0c", dict(reversed(SPEC.items())))
    assert encode_task(shuffled) == encode_task(TASK)
    assert "\n" not in encode_task(TASK)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"namespace": 1, "name": "n", "uid": "u", "spec": {}}'])
def test_what_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - InvalidFieldError and JSONDecodeError are both ValueErrors
        parse_task(text)
