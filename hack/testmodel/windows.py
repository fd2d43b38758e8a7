"""Make windows as openai-whisper's `transcribe` meets them: join clips to recordings, and cut these where it would seek.

`transcribe` takes the spectrogram of the whole file, decodes 30 s of it, goes on at the end of the last whole segment
if the window's text ends in a lone start time, else 30 s further, and pads the last window with zeros.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.tokenizer import Tokenizer, get_tokenizer

from hack.testmodel.clips import Clips
from tests.support.sentences import LANGUAGES
from tests.support.speech import SAMPLE_RATE, Samples, Utterance

TICK = 0.02  # s, a timestamp token and a position of the encoder's output
FRAMES_PER_TICK = 2  # of the spectrogram
FRAMES_PER_SECOND = 100
FIRST_STAMP_MAX = 1.0  # s; Whisper's decoding allows no later first timestamp
CUT_MARGIN = 0.1  # s; an utterance that ends nearer than this to the window's end counts as cut
HEARD_MIN = 0.1  # s of an utterance that must be in the window for its start to be written
LATE_MAX = 0.25  # s of an utterance that may be missing at the window's start without a loss of words
MISPLACED_SECONDS = (-1.0, 0.6)  # where a window starts that does not start at the end of the last segment
SILENT_SHARE = 0.06  # of recordings
NOISELESS_SHARE = 0.1  # of recordings


@dataclass
class Window:
    """A spectrogram (80 x frames) and the text that is to be written for it."""

    language: str
    mel: torch.Tensor
    segments: list[list[int]] = field(default_factory=list)  # each: start time, text, end time
    tail: list[int] = field(default_factory=list)  # the start time of an utterance that the window cuts

    @property
    def silent(self) -> bool:
        """Return whether nobody speaks in the window."""
        return not self.segments and not self.tail


@dataclass(frozen=True)
class Recording:
    """The samples of a recording and the utterances in them."""

    language: str
    samples: Samples
    utterances: list[Utterance]


def tokenizer_of(language: str) -> Tokenizer:
    """Return openai-whisper's multilingual tokenizer, to transcribe `language`."""
    return get_tokenizer(True, num_languages=99, language=language, task="transcribe")


class Cutter:
    """Draws recordings from clips and cuts them into windows."""

    def __init__(self, clips: Clips, draw: random.Random):
        self.clips, self.draw = clips, draw
        self.noise = np.random.default_rng(draw.getrandbits(64))
        self.tokenizer = {language: tokenizer_of(language) for language in LANGUAGES}
        self.numbers = {language: clips.of(language) for language in LANGUAGES}
        self.first_stamp: int = self.tokenizer["en"].timestamp_begin

    def gap(self) -> float:
        """Draw the seconds of silence between two utterances: mostly few, sometimes several or a whole window."""
        kind = self.draw.random()
        if kind < 0.012:
            return self.draw.uniform(20, 45)
        return self.draw.uniform(1.6, 6) if kind < 0.08 else self.draw.uniform(0.1, 1.6)

    def recording(self, seconds: float) -> Recording:
        """Draw a recording of `seconds` with its own level and noise; in some of them nobody speaks."""
        language = self.draw.choice(LANGUAGES)
        samples, utterances = np.zeros(int(seconds * SAMPLE_RATE), np.float32), []
        at = self.draw.uniform(0, 1.5) if self.draw.random() > SILENT_SHARE else seconds
        while True:
            number = self.draw.choice(self.numbers[language])
            sound, first = self.clips.samples(number), int(at * SAMPLE_RATE)
            end = at + len(sound) / SAMPLE_RATE
            if end > seconds:
                break
            samples[first : first + len(sound)] = sound * self.draw.uniform(0.6, 1)
            utterances.append(Utterance(at, end, self.clips.text[number]))
            at = end + self.gap()
        samples *= self.draw.uniform(0.25, 1.2)
        if self.draw.random() > NOISELESS_SHARE:
            level = np.float32(10 ** self.draw.uniform(-4.6, -2.6))
            samples += self.noise.standard_normal(len(samples), dtype=np.float32) * level
        return Recording(language, np.clip(samples, -1, 1), utterances)

    def windows(self, seconds: float) -> Iterator[Window]:
        """Cut a recording of `seconds` into windows, each of which starts where the one before leads."""
        recording = self.recording(seconds)
        mel = log_mel_spectrogram(torch.from_numpy(recording.samples), padding=N_SAMPLES)
        content, seek = mel.shape[1] - N_FRAMES, 0
        while seek < content - 10:
            frames = min(N_FRAMES, content - seek)
            window = Window(recording.language, self.padded(mel, seek, frames))
            last = self.write(window, recording, seek / FRAMES_PER_SECOND, frames / FRAMES_PER_SECOND)
            yield window
            seek += self.advance(window, last)

    def padded(self, mel: torch.Tensor, seek: int, frames: int) -> torch.Tensor:
        """Return 30 s from `seek` on, with zeros after the content, as in transcription, or silence, as in language detection."""
        if frames < N_FRAMES and self.draw.random() < 0.15:
            return mel[:, seek : seek + N_FRAMES]
        return pad_or_trim(mel[:, seek : seek + frames], N_FRAMES)

    def advance(self, window: Window, last: float) -> int:
        """Return the frames from this window's start to the next one's, sometimes misplaced as with word timestamps."""
        if not (window.segments and window.tail):
            return int(N_FRAMES)
        near = self.draw.random() < 0.7
        jitter = self.draw.gauss(0, 0.03) if near else self.draw.uniform(*MISPLACED_SECONDS)
        ticks = round((last + jitter) / TICK)
        return max(1, ticks) * FRAMES_PER_TICK

    def short_window(self, seconds: float, shift: int) -> Window:
        """Draw a window of `seconds` with its timestamps moved by `shift` ticks, for the first stages of training."""
        recording = self.recording(seconds + self.draw.uniform(0, 3))
        window = Window(recording.language, torch.empty(0))
        samples = recording.samples[: int(seconds * SAMPLE_RATE)]
        window.mel = log_mel_spectrogram(torch.from_numpy(samples))
        self.write(window, recording, 0.0, seconds, shift)
        return window

    def stamp(self, seconds: float, shift: int) -> int:
        """Return the timestamp token of a time in the window."""
        return self.first_stamp + shift + round(max(0.0, seconds) / TICK)

    def write(self, window: Window, recording: Recording, begin: float, seconds: float, shift: int = 0) -> float:
        """Fill the window's segments and tail; return the end of the last segment in seconds of the window."""
        tokenizer, last = self.tokenizer[recording.language], 0.0
        cut = seconds - CUT_MARGIN if seconds * FRAMES_PER_SECOND == N_FRAMES else seconds  # else the file ends there
        for utterance in recording.utterances:
            start, end = utterance.start - begin, utterance.end - begin
            text = heard(utterance, -start)
            if end < HEARD_MIN or not text:
                continue
            if not window.segments and not window.tail:
                start = min(start, FIRST_STAMP_MAX) if not shift else start
            if end > cut:
                if start < seconds - HEARD_MIN:
                    window.tail = [self.stamp(start, shift)]
                break
            text_tokens = tokenizer.encode(" " + text)
            window.segments.append([self.stamp(start, shift), *text_tokens, self.stamp(end, shift)])
            last = end
        return last


def heard(utterance: Utterance, missing: float) -> str:
    """Return the words that are left if the first `missing` seconds are not in the window, by the share of their letters.

    If less than half is left, the window before has already written it, and nothing is returned.
    """
    words, length, left = utterance.text.split(), utterance.end - utterance.start, []
    if missing <= LATE_MAX:
        return utterance.text
    if missing > length / 2:
        return ""
    for i, word in enumerate(words):
        if len(" ".join(words[:i])) / len(utterance.text) * length > missing - 0.1:
            left.append(word)
    return " ".join(left)
