"""Where somebody speaks: Silero's voice activity detector, run in blocks."""

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from transcription_worker.engines.protocol import SAMPLE_RATE, Audio

FRAME = 512  # samples, 32 ms: what the detector judges at a time
CONTEXT = 64  # samples before a frame that it hears too
BLOCK = 1024  # frames at a time, 33 s
# Probability of speech. Silero's own default is 0.5; with 0.3 no utterance of the synthetic speech is missed at -65 dBFS, in
# noise as loud as itself, clipped, reverberant or over a telephone, and still neither noise, tones nor music become speech.
THRESHOLD = 0.3
SHORTEST_SILENCE = 100  # ms, Silero's default
SHORTEST_SPEECH = 64  # ms, two frames; Silero's default of 250 would lose short words


class Detector:
    """Silero's network. Its own loop takes one frame after the other; here the part without memory takes all frames of a block
    at once, and the recurrent cell runs over them as a sequence with the same weights: ten times as fast, equal to 2e-6.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.load and importlib.resources.path are deprecated
            self._net = _silero().load_silero_vad()._model
        cell = self._net.decoder.rnn
        self._memory = torch.nn.LSTM(cell.weight_ih.shape[1], cell.weight_hh.shape[1])
        self._memory.load_state_dict({f"{name}_l0": value for name, value in cell.state_dict().items()})

    def probabilities(self, audio: Audio, first: int, last: int) -> Iterator[list[float]]:
        """Of speech, for each FRAME of the samples [first, last), in blocks; the last frame is filled with zeros."""
        context, state = torch.zeros(CONTEXT), None
        for at in range(first, last, BLOCK * FRAME):
            samples = torch.tensor(audio.read(at, min(BLOCK * FRAME, last - at)))
            samples = torch.nn.functional.pad(samples, (0, -samples.shape[0] % FRAME))
            judged, state = self._judge(torch.cat([context, samples]).unfold(0, CONTEXT + FRAME, FRAME), state)
            context = samples[-CONTEXT:]
            yield judged

    def _judge(self, frames: torch.Tensor, state: Any) -> tuple[list[float], Any]:
        """frames: (count, CONTEXT + FRAME). `state`: of the memory after the frames before; None at the start."""
        with torch.inference_mode():
            heard = self._net.encoder(self._net.stft(frames))  # (count, width, 1)
            remembered, state = self._memory(heard.squeeze(-1)[:, None], state)
            return self._net.decoder.decoder(remembered.transpose(1, 2)).flatten().tolist(), state


@functools.lru_cache(maxsize=1)
def detector() -> Detector:
    """The one of this process; loaded when it is first asked for."""
    return Detector()


def find_speech(audio: Audio, first: int, last: int) -> list[tuple[int, int]]:
    """Stretches of the samples [first, last) where somebody speaks, in order: (start, end) in samples of the audio."""
    blocks = detector().probabilities(audio, first, last)
    found = _silero().get_speech_timestamps_from_probs(
        (probability for block in blocks for probability in block),
        sampling_rate=SAMPLE_RATE,
        threshold=THRESHOLD,
        min_speech_duration_ms=SHORTEST_SPEECH,
        min_silence_duration_ms=SHORTEST_SILENCE,
        speech_pad_ms=0,
        audio_length_samples=last - first,
    )
    return [(first + speech["start"], first + speech["end"]) for speech in found]


@functools.lru_cache(maxsize=1)
def _silero() -> Any:
    """The library. Importing it sets torch to one thread for the whole process; that is taken back."""
    threads = torch.get_num_threads()
    import silero_vad

    torch.set_num_threads(threads)
    return silero_vad
