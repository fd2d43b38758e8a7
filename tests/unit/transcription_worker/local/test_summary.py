"""The last lines say what held the run up."""

from transcription_worker.local.summary import FileCounts, RunSummary, summary_lines


def lines(waited: tuple[float, float]) -> list[str]:
    counts = FileCounts()
    counts.add_done(3600.0)
    return list(summary_lines(RunSummary(1, 0, counts, 100.0, waited=waited)))


def test_a_gpu_that_waited_for_audio_is_told_of() -> None:
    (_, _, warning) = lines((50.0, 100.0))
    assert warning.startswith("warning: the GPU waited for audio for 50% of its time")
    assert "more cores" in warning


def test_without_a_gpu_or_a_long_wait_nothing_is_said_of_it() -> None:
    assert len(lines((0.0, 0.0))) == len(lines((10.0, 100.0))) == 2
