"""Compare the speed and the texts of engines over the same recordings."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.engines.corpus import Recording
from benchmarks.engines.runners import Measurement, Runner


@dataclass(frozen=True)
class Result:
    """The result of one runner: medians over the rounds, in seconds.

    A ratio is the first runner's time divided by this one's, taken round by round.
    """

    name: str
    wall: float
    decoding: float
    ratio: float
    decoding_ratio: float
    texts: list[str]


def compare(runners: Sequence[Runner], recordings: Sequence[Recording], rounds: int) -> list[Result]:
    """Run a warm-up, then `rounds` of all runners in turn, so that a machine that slows down does so for all of them."""
    seconds = sum(one.seconds for one in recordings)
    print(
        f"{len(recordings)} files, {seconds / 60:.1f} minutes of audio, {rounds} rounds after one that is not counted"
    )
    for runner in runners:
        runner.run(recordings[: max(1, len(recordings) // 8)])
    measured: list[list[Measurement]] = [[] for _ in runners]
    for number in range(rounds):
        for runner, its in zip(runners, measured, strict=True):
            found = runner.run(recordings)
            its.append(found)
            print(f"  round {number + 1}: {runner.name}: {found.wall:.2f} s, {seconds / found.wall:.1f}x real time")
    return [_result(runner.name, its, measured[0]) for runner, its in zip(runners, measured, strict=True)]


def _result(name: str, rounds: list[Measurement], reference: list[Measurement]) -> Result:
    pairs = list(zip(reference, rounds, strict=True))
    return Result(
        name,
        statistics.median(one.wall for one in rounds),
        statistics.median(one.decoding for one in rounds),
        statistics.median(first.wall / one.wall for first, one in pairs),
        statistics.median(first.decoding / one.decoding for first, one in pairs),
        rounds[-1].texts,
    )


def print_table(title: str, results: Sequence[Result], recordings: Sequence[Recording]) -> None:
    """Print the rows that docs/performance.md shows."""
    seconds = sum(one.seconds for one in recordings)
    print(f"\n{title}")
    print("| | seconds | x real time | faster than the first | its decoding alone | same text | WER to the first |")
    print("|---|---|---|---|---|---|---|")
    for one in results:
        same = sum(a == b for a, b in zip(results[0].texts, one.texts, strict=True)) / len(one.texts)
        print(
            f"| {one.name} | {one.wall:.2f} | {seconds / one.wall:.1f} | {one.ratio:.2f} | {one.decoding_ratio:.2f} "
            f"| {same:.0%} | {word_errors(results[0].texts, one.texts):.2%} |"
        )


def word_errors(reference: Sequence[str], texts: Sequence[str]) -> float:
    """Return the word error rate of one runner's texts against another's."""
    import jiwer  # compiled: a machine that is there for its GPU alone may lack it

    pairs = [(a, b) for a, b in zip(reference, texts, strict=True) if a.strip()]
    return float(jiwer.wer([a for a, _ in pairs], [b for _, b in pairs])) if pairs else 0.0
