"""Voice activity detection by Silero VAD, run in blocks."""

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio

FRAME = 512  # samples, 32 ms: one probability each
CONTEXT = 64  # samples before a frame that the network takes too
FRAMES_PER_BLOCK = 1024  # 33 s, computed together
# Probability of speech. Silero's default is 0.5. With 0.3 no utterance of the tests' synthetic speech is missed at -65 dBFS, in
# noise as loud as itself, clipped, reverberant or over a telephone, and still no noise, tones or music are taken for speech.
THRESHOLD = 0.3
MIN_SILENCE = 100  # ms, Silero's default
MIN_SPEECH = 64  # ms, two frames; with Silero's default of 250 short words are lost


class Detector:
    """Silero's network, run over blocks of frames.

    Silero runs it frame by frame. Here the convolutional encoder takes all frames of a block at once, and an LSTM with the
    weights of the recurrent cell runs over them as a sequence: ten times as fast, and equal to 2e-6.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.load and importlib.resources.path are deprecated
            self._net = _silero().load_silero_vad()._model
        cell = self._net.decoder.rnn
        self._lstm = torch.nn.LSTM(cell.weight_ih.shape[1], cell.weight_hh.shape[1])
        self._lstm.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})

    def probabilities(self, audio: Audio, first: int, last: int) -> Iterator[list[float]]:
        """Yield the probabilities of speech of each FRAME of the samples [first, last), block by block.

        The last frame is padded with zeros.
        """
        context, state = torch.zeros(CONTEXT), None
        for at in range(first, last, FRAMES_PER_BLOCK * FRAME):
            samples = torch.tensor(audio.read(at, min(FRAMES_PER_BLOCK * FRAME, last - at)))
            samples = torch.nn.functional.pad(samples, (0, -samples.shape[0] % FRAME))
            probabilities, state = self._run(torch.cat([context, samples]).unfold(0, CONTEXT + FRAME, FRAME), state)
            context = samples[-CONTEXT:]
            yield probabilities

    def _run(self, frames: torch.Tensor, state: Any) -> tuple[list[float], Any]:
        """frames: (count, CONTEXT + FRAME). state: of the LSTM after the frames before, None at the start."""
        with torch.inference_mode():
            encoded = self._net.encoder(self._net.stft(frames))  # (count, width, 1)
            hidden, state = self._lstm(encoded.squeeze(-1)[:, None], state)
            return self._net.decoder.decoder(hidden.transpose(1, 2)).flatten().tolist(), state


@functools.lru_cache(maxsize=1)
def detector() -> Detector:
    """The detector of this process, loaded on first use."""
    return Detector()


def find_speech(audio: Audio, first: int, last: int) -> list[tuple[int, int]]:
    """Spans of the samples [first, last) in which somebody speaks, in order: (start, end) in samples of the audio."""
    blocks = detector().probabilities(audio, first, last)
    found = _silero().get_speech_timestamps_from_probs(
        (probability for block in blocks for probability in block),
        sampling_rate=SAMPLE_RATE,
        threshold=THRESHOLD,
        min_speech_duration_ms=MIN_SPEECH,
        min_silence_duration_ms=MIN_SILENCE,
        speech_pad_ms=0,
        audio_length_samples=last - first,
    )
    return [(first + speech["start"], first + speech["end"]) for speech in found]


@functools.lru_cache(maxsize=1)
def _silero() -> Any:
    """Import the library. Its import sets torch to one thread for the whole process; that is undone here."""
    threads = torch.get_num_threads()
    import silero_vad

    torch.set_num_threads(threads)
    return silero_vad
