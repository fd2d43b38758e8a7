"""Speak the sentences that the model is trained on, and keep them in one file."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support.sentences import LANGUAGES
from tests.support.speech import SAMPLE_RATE, Samples, clip

ESPEAK_PROCESSES = 4  # each lives for some ten milliseconds
PROGRESS_EVERY = 2000  # clips


@dataclass(frozen=True)
class Clips:
    """The clips. `audio` holds them one after another as 16-bit samples; clip i is audio[offset[i] : offset[i + 1]]."""

    audio: npt.NDArray[np.int16]
    offset: npt.NDArray[np.int64]
    text: list[str]
    language: list[str]

    def samples(self, index: int) -> Samples:
        """Return the clip as samples between -1 and 1."""
        return self.audio[self.offset[index] : self.offset[index + 1]].astype(np.float32) / np.float32(32767)

    def of(self, language: str) -> list[int]:
        """Return the numbers of the clips in `language`."""
        return [i for i, spoken in enumerate(self.language) if spoken == language]


def make_clips(count: int) -> Clips:
    """Speak `count` sentences, the languages in turn."""

    def one(number: int) -> tuple[npt.NDArray[np.int16], str]:
        samples, text = clip(LANGUAGES[number % len(LANGUAGES)], f"training/{number}")
        if number % PROGRESS_EVERY == 0:
            print(f"clips: {number} of {count}", flush=True)
        return (samples * 32767).astype(np.int16), text

    with ThreadPoolExecutor(ESPEAK_PROCESSES) as pool:
        made = list(pool.map(one, range(count)))
    offset = np.cumsum([0] + [len(audio) for audio, _ in made])
    language = [LANGUAGES[i % len(LANGUAGES)] for i in range(count)]
    return Clips(np.concatenate([audio for audio, _ in made]), offset, [text for _, text in made], language)


def load_clips(path: Path, count: int) -> Clips:
    """Return the clips kept at `path`, spoken first if the file is absent or holds another number of them."""
    if path.exists():
        with np.load(path) as kept:
            if len(kept["text"]) == count:
                return Clips(kept["audio"], kept["offset"], kept["text"].tolist(), kept["language"].tolist())
    clips = make_clips(count)
    np.savez(path, audio=clips.audio, offset=clips.offset, text=clips.text, language=clips.language)
    print(f"clips: {count}, {clips.offset[-1] / SAMPLE_RATE / 3600:.1f} h, kept in {path}", flush=True)
    return clips
