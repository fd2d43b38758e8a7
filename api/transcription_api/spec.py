"""spec of a TranscriptionJob. The CRD's schema holds the same fields, defaults and rules; a test compares them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transcription_api.codec import from_json


class DevicePolicy(enum.Enum):
    """What may run the transcription."""

    REQUIRE_GPU = "RequireGPU"  # no CUDA device, no transcription
    PREFER_GPU = "PreferGPU"  # requests a GPU; where it cannot be used, the CPU goes on and the status says so
    CPU = "CPU"  # requests no GPU


class Format(enum.Enum):
    """Result files, as openai-whisper's writers give them. The value is the file's extension."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"


class TaskKind(enum.Enum):
    """Whisper's tasks: transcribe keeps the language, translate gives English."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class EngineKind(enum.Enum):
    """What transcribes. All three read openai-whisper's checkpoints."""

    BATCHED = "batched"  # openai-whisper's algorithm for each file, many files at a time
    OPENAI_WHISPER = "openai-whisper"  # the reference, one window at a time
    FASTER_WHISPER = "faster-whisper"  # CTranslate2; an extra of the image


class Precision(enum.Enum):
    """Of the model's weights and products."""

    AUTO = "auto"  # float32 on the CPU, float16 on a GPU
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class LongForm(enum.Enum):
    """How a file longer than one window of 30 s is read."""

    SEQUENTIAL = "sequential"  # openai-whisper's text: each window begins where the last one's speech ended
    CHUNKED = "chunked"  # cut at silences into pieces that are decoded side by side


class Channel(enum.Enum):
    """Which channels of the audio are transcribed."""

    MIX = "mix"  # all of them mixed to one
    LEFT = "left"  # the first
    RIGHT = "right"  # the second
    SPLIT = "split"  # each on its own, one transcript a channel


class QualityPolicy(enum.Enum):
    """What becomes of windows whose text looks wrong."""

    WARN = "warn"  # flagged in the result
    RETRY = "retry"  # decoded again without the text before and at the next temperatures; the better one is kept
    FAIL = "fail"  # flagged, written, and the resource fails


class UncertainLanguage(enum.Enum):
    """What to do when no language reaches the minimum probability."""

    ALLOW = "allow"  # take the most probable
    DEFAULT = "default"  # take languageDetection.default
    FAIL = "fail"


class CacheKind(enum.Enum):
    """Where models that are downloaded stay."""

    NONE = "None"  # as long as the pod
    NODE = "Node"  # a folder of the node that the administrator chose for the operator
    CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True)
class SecretRef:
    """A Secret in the resource's own namespace."""

    name: str


@dataclass(frozen=True)
class S3Endpoint:
    """How to reach a bucket; shared by source, destination and model. Absent credentials: the pod's workload identity."""

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    path_style: bool = False
    credentials_secret_ref: SecretRef | None = None


@dataclass(frozen=True, kw_only=True)
class S3Object(S3Endpoint):
    """One object."""

    key: str


@dataclass(frozen=True, kw_only=True)
class S3Prefix(S3Endpoint):
    """Where objects are written: keys are prefix + name, so a folder's prefix ends with a slash."""

    prefix: str = ""


@dataclass(frozen=True)
class Source:
    """A union: exactly one member is set."""

    s3: S3Object


@dataclass(frozen=True)
class Destination:
    """A union: exactly one member is set."""

    s3: S3Prefix


@dataclass(frozen=True)
class ClaimRef:
    """A PersistentVolumeClaim in the resource's own namespace."""

    claim_name: str


@dataclass(frozen=True)
class ImageVolume:
    """An OCI image or artifact that the kubelet mounts."""

    reference: str
    pull_policy: str | None = None


@dataclass(frozen=True)
class ModelVolume:
    """A model file in a volume: exactly one of the volumes, and the file's path inside it."""

    path: str
    persistent_volume_claim: ClaimRef | None = None
    image: ImageVolume | None = None


@dataclass(frozen=True)
class ModelCache:
    """`claim_name` goes with PersistentVolumeClaim alone."""

    type: CacheKind = CacheKind.NONE
    claim_name: str | None = None


@dataclass(frozen=True)
class Model:
    """At most one of name, s3 and volume; none of them means openai-whisper's default, turbo."""

    name: str | None = None
    s3: S3Object | None = None
    volume: ModelVolume | None = None
    sha256: str | None = None
    cache: ModelCache = ModelCache()

    @property
    def display_name(self) -> str:
        """For the status and for people: the name, or the file's name."""
        if self.s3 is not None:
            return self.s3.key.rsplit("/", 1)[-1]
        if self.volume is not None:
            return self.volume.path.rsplit("/", 1)[-1]
        return self.name or DEFAULT_MODEL


@dataclass(frozen=True)
class Decoding:
    """openai-whisper's options under its own names. Defaults are those of its command, which differ from its function's."""

    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    beam_size: int | None = None  # at temperature 0; absent: DEFAULT_BEAM_SIZE
    best_of: int | None = None  # above temperature 0; absent: DEFAULT_BEST_OF
    patience: float | None = None
    length_penalty: float | None = None
    initial_prompt: str | None = None
    condition_on_previous_text: bool = True
    compression_ratio_threshold: float = 2.4
    logprob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    word_timestamps: bool = False
    carry_initial_prompt: bool = False  # before every window, not the first alone
    hallucination_silence_threshold: float | None = None  # seconds; with word_timestamps
    suppress_tokens: tuple[int, ...] = (-1,)  # -1 stands for the symbols that nobody speaks
    without_timestamps: bool = False
    precision: Precision = Precision.AUTO
    long_form: LongForm = LongForm.SEQUENTIAL


@dataclass(frozen=True)
class Clip:
    """Seconds from the start of the audio. Absent end: to the end of the audio; the last clip alone may have none."""

    start: float
    end: float | None = None


@dataclass(frozen=True)
class AudioSelection:
    """Which part of the audio is transcribed. No clips: all of it."""

    channel: Channel = Channel.MIX
    clips: tuple[Clip, ...] = ()


@dataclass(frozen=True)
class LanguageDetection:
    """For language auto. One window, the first, is what openai-whisper looks at."""

    windows: int = 3  # spread over the file
    candidates: tuple[str, ...] = ()  # none: all that the model knows
    min_probability: float = 0.0
    below: UncertainLanguage = UncertainLanguage.ALLOW
    default: str | None = None  # with UncertainLanguage.DEFAULT


@dataclass(frozen=True)
class Quality:
    """Windows whose text loops, lies over silence, is improbable or too fast."""

    policy: QualityPolicy = QualityPolicy.WARN


@dataclass(frozen=True)
class Subtitles:
    """How srt and vtt break lines: openai-whisper's writer options. They need decoding.word_timestamps."""

    max_line_width: int | None = None  # characters
    max_line_count: int | None = None  # with max_line_width
    max_words_per_line: int | None = None  # without max_line_width
    highlight_words: bool = False


@dataclass(frozen=True)
class Device:
    """Where the worker runs. `resources` and `tolerations` are Kubernetes' own objects, passed through."""

    policy: DevicePolicy = DevicePolicy.REQUIRE_GPU
    gpus: int = 1
    runtime_class_name: str | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Any, ...] = ()
    resources: dict[str, Any] = field(default_factory=dict)
    priority_class_name: str | None = None


@dataclass(frozen=True)
class Preview:
    """The transcript's first characters in the status. Off unless asked for: text is data."""

    characters: int = 0  # at most 500


@dataclass(frozen=True)
class Spec:
    """Immutable but for suspend and ttl_seconds_after_finished."""

    source: Source
    destination: Destination
    model: Model = Model()
    task: TaskKind = TaskKind.TRANSCRIBE
    language: str = "auto"
    language_detection: LanguageDetection = LanguageDetection()
    audio: AudioSelection = AudioSelection()
    engine: EngineKind = EngineKind.BATCHED
    decoding: Decoding = Decoding()
    quality: Quality = Quality()
    formats: tuple[Format, ...] = (Format.JSON, Format.TXT)
    subtitles: Subtitles = Subtitles()
    preview: Preview = Preview()
    device: Device = Device()
    retries: int = 3  # transient failures only
    active_deadline_seconds: int | None = None
    pending_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    queue_name: str | None = None
    service_account_name: str | None = None  # whose workload identity; its token is never mounted by us


DEFAULT_MODEL = "turbo"  # as the whisper command
DEFAULT_BEAM_SIZE = 5  # as the whisper command
DEFAULT_BEST_OF = 5  # as the whisper command


def parse_spec(value: Mapping[str, Any]) -> Spec:
    """The spec of a resource as the apiserver stores it.

    Raises:
        codec.InvalidFieldError: names the field, the value and what was expected.
    """
    return from_json(Spec, value, "spec")
