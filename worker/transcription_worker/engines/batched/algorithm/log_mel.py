"""Log-mel windows of audio that is never in memory whole, equal to slices of whisper.audio.log_mel_spectrogram.

Whisper clamps every value to 8 below the maximum of the whole file. A first pass over the audio in blocks finds the maximum;
each window is then computed from its own samples and those next to it that the Fourier transform reaches.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import pad
from whisper.audio import HOP_LENGTH, N_FFT, N_FRAMES, N_SAMPLES, mel_filters

from transcription_worker.engines.batched.model.device_transfer import copy_to_device
from transcription_worker.engines.protocol import Audio

# The first pass reads 30 s at a time: the transform of such a block takes some 10 MB.
BLOCK_FRAMES = N_FRAMES
# Files up to this length keep the first pass's result, so that they are transformed once. It takes 3.8 MB with 80 mels.
CACHED_FRAMES = 4 * N_FRAMES
DYNAMIC_RANGE = 8.0  # powers of ten below the maximum: whisper.audio.log_mel_spectrogram


class LogMel:
    """The log-mel spectrogram of an audio, computed window by window on `device`.

    frames: length of the audio in frames of 10 ms, without the 30 s of silence that openai-whisper pads.
    """

    def __init__(self, audio: Audio, n_mels: int, device: torch.device | str = "cpu") -> None:
        self.audio = audio
        self.frames = audio.count // HOP_LENGTH
        self._device = torch.device(device)
        self._filters = mel_filters(self._device, n_mels)
        self._hann = torch.hann_window(N_FFT).to(self._device)
        self._cached: list[torch.Tensor] | None = [] if self._frames_padded <= CACHED_FRAMES + N_FRAMES else None
        self._floor = self._find_maximum() - DYNAMIC_RANGE

    @property
    def _frames_padded(self) -> int:
        return int((self.audio.count + N_SAMPLES) // HOP_LENGTH)

    def window(self, seek: int, size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Frames [seek, seek + size), padded with zeros to 30 s; shape (n_mels, 3000). Frames past the audio are silence."""
        size = max(0, min(size, N_FRAMES, self._frames_padded - seek))
        if size == 0:
            return torch.zeros(self._filters.shape[0], N_FRAMES, dtype=dtype, device=self._device)
        raw = self._raw(seek, size)
        self._record_stream(self._floor)
        scaled = (torch.maximum(raw, self._floor) + 4.0) / 4.0
        return pad(scaled, (0, N_FRAMES - scaled.shape[-1])).to(dtype)

    def _find_maximum(self) -> torch.Tensor:
        maximum = torch.full((), -10.0, device=self._device)
        for block in self._blocks():
            if self._cached is not None:
                self._cached.append(block)
            maximum = torch.maximum(maximum, block.max())
        return maximum

    def _blocks(self) -> Iterator[torch.Tensor]:
        # The last 30 s are padding: silence but for the first frames, whose transform still reaches the audio.
        until = min(self._frames_padded, self.frames + BLOCK_FRAMES if self._cached is not None else self.frames + 4)
        for start in range(0, until, BLOCK_FRAMES):
            yield self._transform(start, BLOCK_FRAMES if self._cached is None else min(BLOCK_FRAMES, until - start))

    def _raw(self, start: int, size: int) -> torch.Tensor:
        if self._cached is None:  # a whole block: matrix products with few columns differ in the last bit
            return self._transform(start, BLOCK_FRAMES)[:, :size]
        first, last = start // BLOCK_FRAMES, (start + size - 1) // BLOCK_FRAMES
        blocks = self._cached[first : last + 1]
        self._record_stream(*blocks)
        joined = torch.cat(blocks, dim=-1)
        offset = start - first * BLOCK_FRAMES
        return joined[:, offset : offset + size]

    def _record_stream(self, *tensors: torch.Tensor) -> None:
        """Keep the memory of tensors from another thread's CUDA stream until the work launched on this stream is done."""
        if self._device.type == "cuda":
            for one in tensors:
                one.record_stream(torch.cuda.current_stream(self._device))

    def _transform(self, start: int, size: int) -> torch.Tensor:
        """log10 of the mel energies of frames [start, start + size), shape (n_mels, size)."""
        self._record_stream(self._hann)
        stft: Any = torch.stft(
            self._samples(start, size), N_FFT, HOP_LENGTH, window=self._hann, center=False, return_complex=True
        )
        magnitudes = stft.abs() ** 2  # as openai-whisper does; real² + imag² differs in the last bit
        return (self._filters @ magnitudes).clamp(min=1e-10).log10()

    def _samples(self, start: int, size: int) -> torch.Tensor:
        """Samples of those frames with half a transform on either side, mirrored before the start and silent after the end."""
        half = N_FFT // 2
        first, last = start * HOP_LENGTH - half, (start + size - 1) * HOP_LENGTH + half
        last = max(last, half + 1)  # as many as are mirrored
        taken = copy_to_device(torch.from_numpy(self.audio.read(max(first, 0), last - max(first, 0))), self._device)
        taken = pad(taken, (0, last - max(first, 0) - taken.shape[0]))
        return pad(taken[None], (-first, 0), mode="reflect")[0] if first < 0 else taken
