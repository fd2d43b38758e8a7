"""Media files that were damaged at random. The same seed gives the same files."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from transcription_api.choices import Channel

from tests.media_fuzz.mutations import MUTATIONS, join, unchanged
from tests.media_fuzz.recordings import KINDS, Kind, recording

# How many files make test-media-fuzz makes.
COUNT = 1000
# The variable that repeats a run.
SEED = "FUZZ_SEED"
# The share of files that keep the extension of their container.
NAMED_RIGHTLY = 0.8
# A file is at most so many times as long as its recording, which is then ten minutes of audio: so much takes a while rightly.
MOST_TIMES = 400
# And so many bytes of another file come before it or behind it, each of which may be a frame of 20 ms to AMR.
MOST_JOINED = 1 << 16
CHANNELS = (Channel.MIX, Channel.MIX, Channel.MIX, Channel.LEFT, Channel.RIGHT, Channel.SPLIT)


@dataclass(frozen=True)
class Case:
    """One file and how it is read. `done` says what was done to it, by the names in tests.media_fuzz.mutations."""

    number: int
    kind: Kind
    done: tuple[str, ...]
    name: str
    body: bytes
    channel: Channel

    def __str__(self) -> str:
        return f"{self.number}: {self.kind}, {', '.join(self.done)}, as {self.name}, channel {self.channel.value}"


def cases(numbers: Iterable[int], seed: str) -> Iterator[Case]:
    """Yield the files of these numbers, whose kinds take turns. Kinds that ffmpeg here cannot write are left out."""
    for number in numbers:
        kind = KINDS[number % len(KINDS)]
        if (body := recording(kind)) is not None:
            yield _damaged(number, kind, body, random.Random(f"{seed}/{number}"))


def sample(seed: str, count: int) -> list[int]:
    """Return the numbers of so many files, each of another kind."""
    dice = random.Random(seed)
    rounds = COUNT // len(KINDS)
    return [kind + len(KINDS) * dice.randrange(rounds) for kind in dice.sample(range(len(KINDS)), count)]


def _damaged(number: int, kind: Kind, body: bytes, dice: random.Random) -> Case:
    other = dice.choice(KINDS)
    done = dice.choices(MUTATIONS, k=dice.choice((1, 1, 2, 3)))
    joined = ((recording(other) if join in done else None) or b"")[:MOST_JOINED]
    most = MOST_TIMES * len(body)
    for mutation in done:
        body = mutation(body, joined, dice)[:most] if body else body
    extension = kind.extension if dice.random() < NAMED_RIGHTLY else dice.choice(KINDS).extension
    names = tuple(mutation.__name__ for mutation in done if mutation is not unchanged) or ("unchanged",)
    return Case(number, kind, names, f"{number}.{extension}", body, dice.choice(CHANNELS))
