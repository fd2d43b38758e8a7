"""The spec of a TranscriptionJob. The schema of the CRD is generated from these dataclasses by `make crds`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transcription_api.batch import FailurePolicy, Shard
from transcription_api.choices import (
    CacheKind,
    Channel,
    DeletionPolicy,
    DevicePolicy,
    EngineKind,
    Format,
    Layout,
    LongForm,
    Precision,
    QualityPolicy,
    Rerun,
    TaskKind,
    Truncated,
    UncertainLanguage,
)
from transcription_api.codec import from_json
from transcription_api.decoding import (
    DEFAULT_BEAM_SIZE,
    DEFAULT_BEST_OF,
    AudioSelection,
    Clip,
    Decoding,
    LanguageDetection,
    Quality,
    Subtitles,
)
from transcription_api.languages import CODES
from transcription_api.model import DEFAULT_MODEL, ClaimRef, ImageVolume, Model, ModelCache, ModelVolume
from transcription_api.options import Bounds, option, required
from transcription_api.s3 import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    Destination,
    S3BesideSources,
    S3Endpoint,
    S3Object,
    S3Objects,
    S3Prefix,
    SecretRef,
    Source,
    beside_sources,
)

# All parts of a spec are imported from here.
__all__ = [
    "DEFAULT_BEAM_SIZE",
    "DEFAULT_BEST_OF",
    "DEFAULT_MODEL",
    "AudioSelection",
    "CacheKind",
    "Channel",
    "ClaimRef",
    "Clip",
    "Decoding",
    "DeletionPolicy",
    "Destination",
    "Device",
    "DevicePolicy",
    "EngineKind",
    "FailurePolicy",
    "Format",
    "ImageVolume",
    "LanguageDetection",
    "Layout",
    "LongForm",
    "Model",
    "ModelCache",
    "ModelVolume",
    "Precision",
    "Preview",
    "Quality",
    "QualityPolicy",
    "Rerun",
    "S3BesideSources",
    "S3Endpoint",
    "S3Object",
    "S3Objects",
    "S3Prefix",
    "SecretRef",
    "Shard",
    "Source",
    "Spec",
    "Subtitles",
    "TaskKind",
    "Truncated",
    "UncertainLanguage",
    "parse_spec",
]

MAX_SECONDS = 2**31 - 1  # about 68 years
# Indexes of the Job over many files.
MAX_SHARDS = 1000
# A domain and a name. With the prefix "requests." it must be a qualified name too, for quotas: so Kubernetes'
# IsExtendedResourceName says, and a rule of the CRD has what else it says.
EXTENDED_RESOURCE = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
# Bytes as a quantity of Kubernetes, without the forms that nobody writes for memory.
MEMORY = r"^([0-9]{1,6}(\.[0-9]{1,3})?)(k|M|G|T|Ki|Mi|Gi|Ti)?$"


@dataclass(frozen=True)
class Device:
    """Where the worker runs. `resources` and `tolerations` are Kubernetes' own objects and are passed on as they are."""

    policy: DevicePolicy = option(
        DevicePolicy.REQUIRE_GPU,
        help="RequireGPU transcribes on a CUDA device or not at all. PreferGPU requests a GPU too, but where the node's GPU "
        "cannot be used it goes on with the CPU and says so in the status. CPU requests no GPU.",
    )
    gpus: int = option(
        1,
        minimum=1,
        maximum=16,
        help="How many of resourceName a pod requests. Of many files it transcribes with an engine on each of them; one file "
        "needs one. Left out with policy CPU, which requests none.",
    )
    resource_name: str | None = option(
        None,
        min_length=3,
        max_length=308,
        pattern=EXTENDED_RESOURCE,
        help="The extended resource that gpus counts, as in nvidia.com/mig-1g.10gb or nvidia.com/gpu.shared. Without it the "
        "operator's default, which is nvidia.com/gpu unless the administrator chose another.",
    )
    resource_claim_template_name: str | None = option(
        None,
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        help="The ResourceClaimTemplate of the pod's GPU, in the resource's namespace, where a driver for dynamic resource "
        "allocation takes the place of a device plugin (Kubernetes 1.34 or later). The pod requests no resourceName then.",
    )
    min_memory: str | None = option(
        None,
        min_length=1,
        max_length=16,
        pattern=MEMORY,
        help="The least memory of each GPU, as in 24G, where GPU feature discovery labels the nodes. A card of 24 GB has less "
        "than 24Gi. Without it what the model needs at the least; nothing where the model is a file of your own.",
    )
    runtime_class_name: str | None = option(
        None,
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        help="The RuntimeClass of the pod, as in nvidia, where the NVIDIA runtime is not the nodes' default.",
    )
    node_selector: dict[str, str] = option(
        {},
        max_properties=32,
        items=Bounds(max_length=63, pattern="^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"),
        help="Labels that the node must have.",
    )
    tolerations: tuple[Any, ...] = option(
        (),
        max_items=32,
        help="Taints that the pod tolerates. The taints nvidia.com/gpu and resourceName are tolerated by themselves unless "
        "the policy is CPU.",
    )
    resources: dict[str, Any] = option(
        {},
        help="The container's requests and limits, beside the GPU. Without a field of it the operator's defaults are used.",
    )
    priority_class_name: str | None = option(
        None, min_length=1, max_length=253, pattern=DNS_SUBDOMAIN, help="The PriorityClass of the pod."
    )


@dataclass(frozen=True)
class Preview:
    """The transcript's first characters in the status. It is off unless asked for, because what was said is data."""

    characters: int = option(0, minimum=0, maximum=500, help="How many characters. 0 for none.")


@dataclass(frozen=True)
class Spec:
    """What to transcribe, how, and where to write it.

    Immutable but for suspend, parallelism, shard, failure_policy, ttl_seconds_after_finished and deletion_policy.
    """

    source: Source = field(metadata=required(help="Where the audio is. Exactly one member is set."))
    destination: Destination = field(metadata=required(help="Where the transcripts go. Exactly one member is set."))
    model: Model = option(
        Model(),
        help="Which Whisper model. At most one of name, s3 and volume is set; with none of them it is turbo.",
    )
    task: TaskKind = option(
        TaskKind.TRANSCRIBE, whisper="task", help="transcribe keeps the spoken language, translate gives English."
    )
    language: str = option(
        "auto",
        max_length=8,
        choices=("auto", *CODES),
        whisper="language",
        help="The spoken language's code, as in pt. With auto it is found from as many windows of 30 s as "
        'languageDetection.windows says. YAML reads no without quotes as false, so Norwegian is "no".',
    )
    language_detection: LanguageDetection = option(
        LanguageDetection(),
        help="How the language is found where language is auto and the model knows more than English.",
    )
    audio: AudioSelection = option(AudioSelection(), help="Which part of the audio is transcribed.")
    engine: EngineKind = option(
        EngineKind.BATCHED,
        help="What transcribes. batched is openai-whisper's algorithm for many windows at a time, with its text. "
        "openai-whisper is the library itself, the slow reference. faster-whisper is CTranslate2's, which the worker's "
        "image has where it was built with it.",
    )
    decoding: Decoding = option(Decoding(), help="openai-whisper's options, with the defaults of its command.")
    quality: Quality = option(
        Quality(),
        help="What becomes of windows whose text repeats itself, lies over silence, is improbable or has more words than "
        "anybody speaks.",
    )
    formats: tuple[Format, ...] = option(
        (Format.JSON, Format.TXT),
        min_items=1,
        max_items=len(Format),
        unique_items=True,
        whisper="output_format",
        help="Result files, as openai-whisper writes them. Each format at most once.",
    )
    subtitles: Subtitles = option(
        Subtitles(),
        help="How srt and vtt break their lines, as openai-whisper's command does. Only with decoding.wordTimestamps.",
    )
    preview: Preview = option(Preview(), help="The transcript's start in the status. Off unless asked for.")
    device: Device = option(Device(), help="What runs the transcription, and where.")
    parallelism: int = option(
        1,
        implicit=True,
        minimum=1,
        maximum=1000,
        mutable=True,
        help="Of many files, how many pods transcribe at a time; 1 without it. Mutable.",
    )
    shard: Shard = option(
        Shard(),
        implicit=True,
        mutable=True,
        help="How many files a pod takes, of many. Mutable until the plan is made.",
    )
    failure_policy: FailurePolicy = option(
        FailurePolicy(), implicit=True, mutable=True, help="How many files may fail, of many; none without it. Mutable."
    )
    rerun: Rerun = option(
        Rerun.SKIP,
        implicit=True,
        help="What becomes of a file whose results are there already, whole, and of the same source, options and model. Skip "
        "reports them and transcribes nothing, Force transcribes it again.",
    )
    dry_run: bool = option(
        False,
        implicit=True,
        help="Plan alone: the status tells files, hours, cost and what would be skipped, and nothing is transcribed.",
    )
    cost_per_gpu_hour: float | None = option(
        None,
        minimum=0,
        maximum=1_000_000,
        help="What an hour of a GPU costs, in any currency, for the plan's estimate.",
    )
    retries: int = option(
        3, minimum=0, maximum=10, help="How often a transient failure is tried again. Permanent failures never are."
    )
    active_deadline_seconds: int | None = option(
        None,
        minimum=1,
        maximum=MAX_SECONDS,
        int64=True,
        help=(
            "How long all tries together may take, in seconds, waiting for a node included; time in a queue or suspended is "
            "not. Of many files plan and transcription together, after which their account still has 30 minutes. Without it as "
            "long as they take."
        ),
    )
    pending_deadline_seconds: int | None = option(
        None,
        minimum=1,
        maximum=MAX_SECONDS,
        int64=True,
        help="How long a pod may wait for a node, its image or its volumes, in seconds, before the resource fails; of many files "
        "in whichever phase, while no other pod runs. Time in a queue or suspended does not count. Without it, it waits on.",
    )
    ttl_seconds_after_finished: int | None = option(
        None,
        minimum=0,
        maximum=MAX_SECONDS,
        mutable=True,
        help="How long after its end the resource is deleted, in seconds. Transcripts stay unless deletionPolicy says "
        "otherwise. Without it the resource stays. Mutable.",
    )
    deletion_policy: DeletionPolicy = option(
        DeletionPolicy.KEEP,
        implicit=True,
        mutable=True,
        help="What becomes of the results when the resource is deleted, by ttlSecondsAfterFinished or by anybody. Keep leaves "
        "them, DeleteResults has a Job delete those that the resource wrote. Mutable: a change holds once "
        "status.observedGeneration shows it.",
    )
    suspend: bool = option(False, mutable=True, help="While true no pod runs; a running one is stopped. Mutable.")
    queue_name: str | None = option(
        None,
        min_length=1,
        max_length=63,
        pattern=DNS_LABEL,
        help="The Kueue LocalQueue that admits the Job; of many files the one that transcribes alone.",
    )
    service_account_name: str | None = option(
        None,
        min_length=1,
        max_length=253,
        pattern=DNS_SUBDOMAIN,
        help="The ServiceAccount whose workload identity the pod has. No Kubernetes token is mounted. Without it the "
        "namespace's default.",
    )

    @property
    def has_phases(self) -> bool:
        """Whether the work is planned, transcribed and collected by Jobs of their own, as many files are."""
        return self.source.s3.key is None or self.dry_run


def parse_spec(value: Mapping[str, Any]) -> Spec:
    """The spec of a resource as the apiserver stores it, without the fields that only a newer version has.

    A destination that names no bucket gets the source's, with what it takes to reach it.

    Raises:
        codec.InvalidFieldError: A field is missing or of another type. The error names the field, the value and what was
            expected.
    """
    spec = from_json(Spec, value, "spec")
    if spec.destination.s3.bucket and spec.destination.layout is not Layout.ADJACENT:
        return spec
    return dataclasses.replace(spec, destination=beside_sources(spec.source.s3, spec.destination, spec.has_phases))
