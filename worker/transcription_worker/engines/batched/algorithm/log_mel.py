"""Log-mel windows of audio that is never held whole, equal to those cut from whisper.audio.log_mel_spectrogram of all of it.

Whisper clamps every value to 8 below the maximum of the whole file. The maximum is found in a first pass over the audio in
blocks; windows are then computed from their own samples, with the neighbours that the Fourier transform reaches.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import pad
from whisper.audio import HOP_LENGTH, N_FFT, N_FRAMES, N_SAMPLES, mel_filters

from transcription_worker.engines.batched.model.device_transfer import moved
from transcription_worker.engines.protocol import Audio

# Frames of the first pass's blocks, 30 s each: the transform of one takes some 10 MB.
BLOCK_FRAMES = N_FRAMES
# Frames of 10 ms that are kept from the first pass: short files are transformed once. 80 mels of them take 3.8 MB.
KEPT_FRAMES = 4 * N_FRAMES
DYNAMIC_RANGE = 8.0  # powers of ten below the maximum, of whisper.audio


class LogMel:
    """`frames` of content, 10 ms each; the 30 s of silence that openai-whisper pads are not counted."""

    def __init__(self, audio: Audio, n_mels: int, device: torch.device | str = "cpu") -> None:
        self.audio = audio
        self.frames = audio.count // HOP_LENGTH
        self._device = torch.device(device)
        self._filters = mel_filters(self._device, n_mels)
        self._hann = torch.hann_window(N_FFT).to(self._device)
        self._kept: list[torch.Tensor] | None = [] if self._frames_padded <= KEPT_FRAMES + N_FRAMES else None
        self._floor = self._find_maximum() - DYNAMIC_RANGE

    @property
    def _frames_padded(self) -> int:
        return int((self.audio.count + N_SAMPLES) // HOP_LENGTH)

    def window(self, seek: int, size: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Frames [seek, seek + size) and zeros up to 30 s; shape (n_mels, 3000). Frames past the content are of silence."""
        size = max(0, min(size, N_FRAMES, self._frames_padded - seek))
        if size == 0:
            return torch.zeros(self._filters.shape[0], N_FRAMES, dtype=dtype, device=self._device)
        raw = self._raw(seek, size)
        self._used_here(self._floor)
        scaled = (torch.maximum(raw, self._floor) + 4.0) / 4.0
        return pad(scaled, (0, N_FRAMES - scaled.shape[-1])).to(dtype)

    def _find_maximum(self) -> torch.Tensor:
        maximum = torch.full((), -10.0, device=self._device)
        for block in self._blocks():
            if self._kept is not None:
                self._kept.append(block)
            maximum = torch.maximum(maximum, block.max())
        return maximum

    def _blocks(self) -> Iterator[torch.Tensor]:
        # The last 30 s are padding: as quiet as can be but for the first frames, which still reach the content.
        until = min(self._frames_padded, self.frames + BLOCK_FRAMES if self._kept is not None else self.frames + 4)
        for start in range(0, until, BLOCK_FRAMES):
            yield self._transform(start, BLOCK_FRAMES if self._kept is None else min(BLOCK_FRAMES, until - start))

    def _raw(self, start: int, size: int) -> torch.Tensor:
        if self._kept is None:  # a whole block: products of few columns differ in the last bit
            return self._transform(start, BLOCK_FRAMES)[:, :size]
        first, last = start // BLOCK_FRAMES, (start + size - 1) // BLOCK_FRAMES
        blocks = self._kept[first : last + 1]
        self._used_here(*blocks)
        joined = torch.cat(blocks, dim=-1)
        offset = start - first * BLOCK_FRAMES
        return joined[:, offset : offset + size]

    def _used_here(self, *tensors: torch.Tensor) -> None:
        """They may be from another thread's stream: their memory is not given to anyone before what is launched here is done."""
        if self._device.type == "cuda":
            for one in tensors:
                one.record_stream(torch.cuda.current_stream(self._device))

    def _transform(self, start: int, size: int) -> torch.Tensor:
        """log10 of the mel energies of frames [start, start + size), shape (n_mels, size)."""
        self._used_here(self._hann)
        stft: Any = torch.stft(
            self._reached(start, size), N_FFT, HOP_LENGTH, window=self._hann, center=False, return_complex=True
        )
        magnitudes = stft.abs() ** 2  # as openai-whisper: the sum of squares differs in the last bit
        return (self._filters @ magnitudes).clamp(min=1e-10).log10()

    def _reached(self, start: int, size: int) -> torch.Tensor:
        """The samples under those frames: half a transform on either side, mirrored before the start, silent after the end."""
        half = N_FFT // 2
        first, last = start * HOP_LENGTH - half, (start + size - 1) * HOP_LENGTH + half
        last = max(last, half + 1)  # as much as there must be to be mirrored
        taken = moved(torch.from_numpy(self.audio.read(max(first, 0), last - max(first, 0))), self._device)
        taken = pad(taken, (0, last - max(first, 0) - taken.shape[0]))
        return pad(taken[None], (-first, 0), mode="reflect")[0] if first < 0 else taken
