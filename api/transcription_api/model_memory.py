"""How much of a GPU's memory a Whisper model takes, by its name and the precision of its weights.

The numbers follow from the models' dimensions. The operator can tell by them which nodes a resource fits on, and the worker
what to change where memory ran out.
"""

from dataclasses import dataclass

from transcription_api.choices import EngineKind, Precision
from transcription_api.decoding import DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF

MIB = 2**20
AUDIO_POSITIONS, TEXT_POSITIONS = 1500, 448  # whisper/model.py: n_audio_ctx and n_text_ctx of all published models
# Rows of a window's decoding: the beams of the default beam search, and the samples of best_of above temperature 0.
ROWS = max(DEFAULT_BEAM_SIZE, DEFAULT_BEST_OF)
# Windows with a KV cache each: one that is decoded at temperature 0, and one that is decoded again above it.
WINDOWS = 2
# CUDA's context, the libraries' workspaces, CUDA graphs, the spectrogram and one window in the encoder. Chosen generously, and
# not measured.
WORK_MIB = 1024

BYTES = {Precision.FLOAT32: 4, Precision.FLOAT16: 2, Precision.BFLOAT16: 2, Precision.FLOAT8: 2}
# Of the decoder's keys and values of the audio, where these have other numbers than all else.
AUDIO_BYTES = {Precision.FLOAT8: 1}


@dataclass(frozen=True)
class Dimensions:
    """The dimensions in which published models differ: whisper.model.ModelDimensions, audio and text of one width."""

    mels: int
    vocabulary: int
    width: int
    audio_layers: int
    text_layers: int

    @property
    def product_weights(self) -> int:
        """The weights of linear and convolutional layers with their biases, which are stored in the precision."""
        width = self.width
        convolutions = 3 * width * (self.mels + width) + 2 * width
        audio = self.audio_layers * (12 * width * width + 8 * width)
        text = self.text_layers * (16 * width * width + 11 * width)
        return convolutions + audio + text

    @property
    def embedding(self) -> int:
        """The weights of the token embedding."""
        return self.vocabulary * self.width

    @property
    def other_weights(self) -> int:
        """Norms, positions and the token embedding, which stay in float32, with the encoder's table of positions."""
        norms = 2 * self.width * (2 * self.audio_layers + 3 * self.text_layers + 2)
        return norms + (AUDIO_POSITIONS + TEXT_POSITIONS) * self.width + self.embedding


_LARGE = Dimensions(80, 51865, 1280, 32, 32)
_LARGE_V3 = Dimensions(128, 51866, 1280, 32, 32)
_TURBO = Dimensions(128, 51866, 1280, 32, 4)
# The names of model.MODEL_NAMES, from the smallest model to the largest. The English models know one token less.
DIMENSIONS = {
    "tiny.en": Dimensions(80, 51864, 384, 4, 4),
    "tiny": Dimensions(80, 51865, 384, 4, 4),
    "base.en": Dimensions(80, 51864, 512, 6, 6),
    "base": Dimensions(80, 51865, 512, 6, 6),
    "small.en": Dimensions(80, 51864, 768, 12, 12),
    "small": Dimensions(80, 51865, 768, 12, 12),
    "medium.en": Dimensions(80, 51864, 1024, 24, 24),
    "medium": Dimensions(80, 51865, 1024, 24, 24),
    "large-v3-turbo": _TURBO,
    "turbo": _TURBO,
    "large-v1": _LARGE,
    "large-v2": _LARGE,
    "large": _LARGE_V3,
    "large-v3": _LARGE_V3,
}


def gpu_memory_mib(
    name: str, precision: Precision = Precision.AUTO, engine: EngineKind = EngineKind.BATCHED, rows: int = ROWS
) -> int | None:
    """The least memory of a GPU, in MiB, in which a model transcribes; more lets more windows be decoded together.

    name: one of model.MODEL_NAMES. rows: beams or samples of a window. Returns None for other names, whose size is not known
    before they are opened, and for int8, in which no GPU computes here.
    """
    dimensions, itemsize = DIMENSIONS.get(name), BYTES.get(on_gpu(precision))
    if dimensions is None or itemsize is None:
        return None
    window = window_bytes(dimensions, itemsize, rows, AUDIO_BYTES.get(precision))
    taken = weight_bytes(dimensions, itemsize, engine) + WINDOWS * window
    return WORK_MIB + -(-taken // MIB)


def weight_bytes(dimensions: Dimensions, itemsize: int, engine: EngineKind = EngineKind.BATCHED) -> int:
    """The bytes of a model's weights, with what an engine has twice.

    itemsize: bytes of a number of the precision. The batched engine joins the decoder's queries, keys and values to one matrix
    and has the token embedding in half precision beside the exact one. openai-whisper keeps its weights in float32 and casts
    them at every use.
    """
    rest = 4 * dimensions.other_weights
    if engine is EngineKind.OPENAI_WHISPER:
        return 4 * dimensions.product_weights + rest
    joined = dimensions.text_layers * 3 * dimensions.width * (dimensions.width + 1)
    copied = dimensions.embedding if itemsize < 4 else 0
    return (dimensions.product_weights + joined + copied) * itemsize + rest


def window_bytes(dimensions: Dimensions, itemsize: int, rows: int = ROWS, audio_itemsize: int | None = None) -> int:
    """The bytes of the KV cache of one window: keys and values of its audio once, and of the text of each row.

    audio_itemsize: bytes of a number of the audio's, where it is another; the scales of these take some kilobytes more.
    """
    positions = AUDIO_POSITIONS * (audio_itemsize or itemsize) + rows * TEXT_POSITIONS * itemsize
    return 2 * dimensions.text_layers * dimensions.width * positions


def fitting(
    free_mib: int, name: str, precision: Precision = Precision.AUTO, engine: EngineKind = EngineKind.BATCHED
) -> tuple[str, Precision] | None:
    """What to ask for instead of a model where it does not fit: the same in float16, or else the largest smaller one.

    free_mib: memory of the GPU that is free before anything is loaded. An English model is replaced by an English one where
    there is one. Returns None if no model fits.
    """
    needed = gpu_memory_mib(name, Precision.FLOAT16, engine)
    if on_gpu(precision) is Precision.FLOAT32 and needed is not None and needed <= free_mib:
        return name, Precision.FLOAT16
    english = name.endswith(".en")
    for other in reversed(DIMENSIONS):
        takes = gpu_memory_mib(other, Precision.FLOAT16, engine) or 0
        if takes <= free_mib and other.endswith(".en") is english and (needed is None or takes < needed):
            return other, Precision.FLOAT16
    return None


def on_gpu(precision: Precision) -> Precision:
    """The precision that a GPU computes in: auto is float16 there."""
    return Precision.FLOAT16 if precision is Precision.AUTO else precision
