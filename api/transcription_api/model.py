"""The part of the spec that says which Whisper model is used and where its file is kept."""

from dataclasses import dataclass, field

from transcription_api.choices import CacheKind
from transcription_api.options import option, required
from transcription_api.s3 import DNS_SUBDOMAIN, S3Object

DEFAULT_MODEL = "turbo"  # as the whisper command
# Names that whisper.load_model downloads (openai-whisper 20250625, whisper/__init__.py _MODELS).
MODEL_NAMES = (
    *("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en"),
    *("large", "large-v1", "large-v2", "large-v3", "large-v3-turbo", "turbo"),
)
# Trained to transcribe alone: asked to translate they write the spoken language.
CANNOT_TRANSLATE = ("turbo", "large-v3-turbo")
ENGLISH_ALONE = ".en"
# The models with 100 languages instead of 99: Cantonese is the last.
KNOW_CANTONESE = ("large", "large-v3", "large-v3-turbo", "turbo")
CANTONESE = "yue"


def can_translate(name: str) -> bool:
    """Return whether one of MODEL_NAMES translates to English."""
    return name not in CANNOT_TRANSLATE and not name.endswith(ENGLISH_ALONE)


def knows_language(name: str, language: str) -> bool:
    """Return whether one of MODEL_NAMES transcribes a language, given by its code; auto is any that the model knows."""
    if name.endswith(ENGLISH_ALONE):
        return language in ("auto", "en")
    return language != CANTONESE or name in KNOW_CANTONESE


@dataclass(frozen=True)
class ClaimRef:
    """A PersistentVolumeClaim in the resource's own namespace."""

    claim_name: str = field(
        metadata=required(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN, help="The claim's name.")
    )


@dataclass(frozen=True)
class ImageVolume:
    """An OCI image or artifact that the kubelet mounts."""

    reference: str = field(
        metadata=required(
            min_length=1, max_length=512, pattern=r"^[^\s]+$", help="The image's reference, best with a digest."
        )
    )
    pull_policy: str | None = option(
        None,
        choices=("Always", "IfNotPresent", "Never"),
        help="When the kubelet pulls it. Without it Always is used for the tag latest and IfNotPresent otherwise.",
    )


@dataclass(frozen=True)
class ModelVolume:
    """A model file in a volume: exactly one of the volumes, and the file's path inside it."""

    path: str = field(
        metadata=required(
            min_length=1, max_length=1024, help="The file's path inside the volume, as in models/medium.pt."
        )
    )
    persistent_volume_claim: ClaimRef | None = option(
        None, help="A claim in the resource's own namespace, mounted read-only."
    )
    image: ImageVolume | None = option(
        None,
        help="An OCI image or artifact that the kubelet mounts read-only (Kubernetes 1.36 or later without a feature gate).",
    )


@dataclass(frozen=True)
class ModelCache:
    """Where downloaded models stay. `claim_name` goes with PersistentVolumeClaim alone."""

    type: CacheKind = option(
        CacheKind.NONE,
        help="None keeps a model as long as the pod. Node uses the folder of the node that the administrator chose. "
        "PersistentVolumeClaim uses a claim.",
    )
    claim_name: str | None = option(
        None,
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        help="A claim in the resource's own namespace, given with type PersistentVolumeClaim alone.",
    )


@dataclass(frozen=True)
class Model:
    """At most one of name, s3 and volume is set; none of them means openai-whisper's default, turbo."""

    name: str | None = option(
        None,
        choices=MODEL_NAMES,
        whisper="model",
        help="One of openai-whisper's models, downloaded where the cache does not have it.",
    )
    s3: S3Object | None = option(
        None,
        help="A checkpoint file in S3, as openai-whisper saves it or in safetensors.",
        part_help={"key": "The checkpoint's key, at most 1024 bytes in UTF-8, without a leading slash."},
    )
    volume: ModelVolume | None = option(
        None,
        help="A checkpoint file in a volume, as openai-whisper saves it or in safetensors. Exactly one of "
        "persistentVolumeClaim and image is set.",
    )
    sha256: str | None = option(
        None,
        min_length=64,
        max_length=64,
        pattern="^[0-9a-f]{64}$",
        help="SHA-256 of the checkpoint file as 64 hexadecimal digits. A file with another digest is refused.",
    )
    cache: ModelCache = option(ModelCache(), help="Where downloaded models stay.")

    @property
    def display_name(self) -> str:
        """The model's name, or its file's name, for the status and for people."""
        if self.s3 is not None:
            return self.s3.key.rsplit("/", 1)[-1]
        if self.volume is not None:
            return self.volume.path.rsplit("/", 1)[-1]
        return self.name or DEFAULT_MODEL
