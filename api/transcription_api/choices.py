"""The values that a field of the spec may choose from. A member's value is what a manifest says."""

import enum


class DevicePolicy(enum.Enum):
    """What may run the transcription."""

    REQUIRE_GPU = "RequireGPU"  # no CUDA device, no transcription
    PREFER_GPU = "PreferGPU"  # requests a GPU; where it cannot be used, the CPU goes on and the status says so
    CPU = "CPU"  # requests no GPU


class Format(enum.Enum):
    """The result files, which have the content that openai-whisper's writers give them.

    A member's value is the file's extension as well, so that the operator can name a result without knowing how it is
    written. The worker has the renderer and the content type of each format in `engines.formats.writers.FORMATS`.
    """

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"


class TaskKind(enum.Enum):
    """Whisper's tasks: transcribe keeps the spoken language, translate gives English."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class EngineKind(enum.Enum):
    """The software that transcribes. All three read openai-whisper's checkpoints."""

    BATCHED = "batched"  # openai-whisper's algorithm for each file, many files at a time
    OPENAI_WHISPER = "openai-whisper"  # the reference, one window at a time
    FASTER_WHISPER = "faster-whisper"  # CTranslate2; an extra of the image


class Precision(enum.Enum):
    """The numbers that the model's weights are stored in and multiplied in."""

    AUTO = "auto"  # float32 on the CPU, float16 on a GPU
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"  # the weights of linear layers alone; the rest is float32
    FLOAT8 = "float8"  # the decoder's cached keys and values of the audio alone; the rest is float16


# The lowest compute capability of a GPU for float8: below it there is no instruction that converts such numbers.
# Source: PTX ISA, cvt, "requires sm_89 or higher" for .e4m3x2.
FLOAT8_CAPABILITY = (8, 9)


class LongForm(enum.Enum):
    """How a file longer than one window of 30 s is read."""

    SEQUENTIAL = "sequential"  # openai-whisper's text: each window begins where the last one's speech ended
    CHUNKED = "chunked"  # cut at silences into chunks that are decoded side by side


class Channel(enum.Enum):
    """Which channels of the audio are transcribed."""

    MIX = "mix"  # all of them mixed to one
    LEFT = "left"  # the first
    RIGHT = "right"  # the second
    SPLIT = "split"  # each on its own, one transcript a channel


class Truncated(enum.Enum):
    """What happens to a file that holds less audio than its header announces."""

    ACCEPT = "Accept"  # what is there is transcribed, and a warning says what is not
    FAIL = "Fail"  # the resource fails with MediaTruncated


class QualityPolicy(enum.Enum):
    """What happens to windows whose text looks wrong."""

    WARN = "warn"  # flagged in the result
    RETRY = "retry"  # decoded again without the text before and at the next temperatures; the better one is kept
    FAIL = "fail"  # flagged, written, and the resource fails


class UncertainLanguage(enum.Enum):
    """What to do when no language reaches the minimum probability."""

    ALLOW = "allow"  # take the most probable
    DEFAULT = "default"  # take languageDetection.default
    FAIL = "fail"


class CacheKind(enum.Enum):
    """Where downloaded models stay."""

    NONE = "None"  # as long as the pod
    NODE = "Node"  # a folder of the node that the administrator chose for the operator
    CLAIM = "PersistentVolumeClaim"


class Naming(enum.Enum):
    """What results are called after the audio's file name."""

    STEM = "Stem"  # without the extension of a media file, as openai-whisper's command calls them: call.json
    FULL = "Full"  # with it, for a prefix that takes results of call.mp3 and call.wav: call.mp3.json


class Layout(enum.Enum):
    """Where the results of many files lie in the destination."""

    TREE = "Tree"  # the path below the source's prefix is kept: the results of in/a/b.wav lie in out/a/
    FLAT = "Flat"  # all of them directly below the destination's prefix
    ADJACENT = "Adjacent"  # beside each source, in its bucket or in the one that the destination names


class DeletionPolicy(enum.Enum):
    """What becomes of the results when the resource is deleted."""

    KEEP = "Keep"
    DELETE_RESULTS = "DeleteResults"  # what the resource wrote is deleted; what it found and reused stays


class Rerun(enum.Enum):
    """What becomes of a file whose results are there already, whole and of the same task."""

    SKIP = "Skip"  # they are reported, and nothing is transcribed
    FORCE = "Force"  # it is transcribed again
