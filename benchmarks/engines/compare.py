"""Rounds of all sides in turn, medians, ratios, texts."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from benchmarks.engines.corpus import Recording
from benchmarks.engines.sides import Measured, Side


@dataclass(frozen=True)
class Result:
    """Medians over the rounds, in seconds; ratios are of the first side's time to this one's, round by round."""

    name: str
    wall: float
    decoding: float
    ratio: float
    decoding_ratio: float
    texts: list[str]


def compare(sides: Sequence[Side], recordings: Sequence[Recording], rounds: int) -> list[Result]:
    """One round that is not counted, then `rounds` of all sides in turn, so that a machine that gets slower does so for all."""
    seconds = sum(one.seconds for one in recordings)
    print(
        f"{len(recordings)} files, {seconds / 60:.1f} minutes of audio, {rounds} rounds after one that is not counted"
    )
    for side in sides:
        side.run(recordings[: max(1, len(recordings) // 8)])
    measured: list[list[Measured]] = [[] for _ in sides]
    for number in range(rounds):
        for side, its in zip(sides, measured, strict=True):
            found = side.run(recordings)
            its.append(found)
            print(f"  round {number + 1}: {side.name}: {found.wall:.2f} s, {seconds / found.wall:.1f}x real time")
    return [_result(side.name, its, measured[0]) for side, its in zip(sides, measured, strict=True)]


def _result(name: str, rounds: list[Measured], reference: list[Measured]) -> Result:
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
    """Rows as docs/performance.md has them."""
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
    """Of one side's texts to another's."""
    pairs = [(a, b) for a, b in zip(reference, texts, strict=True) if a.strip()]
    return float(jiwer.wer([a for a, _ in pairs], [b for _, b in pairs])) if pairs else 0.0
