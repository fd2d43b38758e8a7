"""Every reason that a status, event or exit of ours can carry. Names are an API: add, never rename.

docs/troubleshooting.md has an entry for each (checked by a test).
"""

from transcription_api import exit_codes
from transcription_api.operator_reasons import *  # noqa: F403 - a reason is looked up here, whoever gives it
from transcription_api.reason import Reason as Reason


def _permanent(name: str, exit_code: int, advice: str) -> Reason:
    return Reason(name, True, advice, exit_code)


def _transient(name: str, exit_code: int, advice: str) -> Reason:
    return Reason(name, False, advice, exit_code)


# --- Reasons of the worker: the task
INVALID_TASK = _permanent("InvalidTask", exit_codes.TASK_INVALID, "Run operator and worker images of the same version.")

# --- Reasons of the worker: the source
NO_SUCH_KEY = _permanent(
    "NoSuchKey",
    exit_codes.SOURCE_NOT_FOUND,
    "Check spec.source.s3.key; keys are case-sensitive and have no leading slash.",
)
NO_SUCH_BUCKET = _permanent(
    "NoSuchBucket", exit_codes.SOURCE_NOT_FOUND, "Check the bucket's name, endpointURL and region."
)
ACCESS_DENIED = _permanent(
    "AccessDenied",
    exit_codes.ACCESS_DENIED,
    "Grant the credentials s3:GetObject on the object (and s3:ListBucket to have missing keys told apart).",
)
BAD_CREDENTIALS = _permanent(
    "BadCredentials",
    exit_codes.ACCESS_DENIED,
    "Check the Secret named by credentialsSecretRef: keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
WRONG_REGION = _permanent(
    "WrongRegion", exit_codes.SOURCE_NOT_FOUND, "Set region of the same s3 field to the region that the message names."
)
OBJECT_ARCHIVED = _permanent(
    "ObjectArchived",
    exit_codes.ACCESS_DENIED,
    "Restore the object from its archive storage class, then create the resource anew.",
)
ENCRYPTION_KEY_DENIED = _permanent(
    "EncryptionKeyDenied",
    exit_codes.ACCESS_DENIED,
    "Grant the credentials kms:Decrypt (to read) and kms:GenerateDataKey (to write) on the bucket's key, and check that the "
    "key is enabled.",
)
CREDENTIALS_EXPIRED = _transient(
    "CredentialsExpired",
    exit_codes.UNREACHABLE,
    "Renew the session token in the Secret named by credentialsSecretRef; the worker reads the Secret again when it changes.",
)
CLOCK_SKEWED = _transient(
    "ClockSkewed",
    exit_codes.UNREACHABLE,
    "Set the clock of the node that the message's pod ran on, or that of the S3 server: they are minutes apart.",
)
CERTIFICATE_INVALID = _permanent(
    "CertificateInvalid",
    exit_codes.ENDPOINT_INVALID,
    "Give the workers the endpoint's certificate authority with the chart's value worker.caBundle, or renew the certificate.",
)
ENDPOINT_UNREACHABLE = _transient(
    "EndpointUnreachable",
    exit_codes.UNREACHABLE,
    "Check endpointURL, DNS and network policies from the worker's namespace; the operation was retried.",
)
# Transient, since whatever brings the ConfigMap to each namespace may be on its way.
CA_BUNDLE_UNUSABLE = _transient(
    "CABundleUnusable",
    exit_codes.UNREACHABLE,
    "Create the ConfigMap that worker.caBundle of the chart names in the resource's namespace, with certificates in PEM.",
)
SOURCE_CHANGED = _transient(
    "SourceChanged",
    exit_codes.SOURCE_CHANGED,
    "The object was replaced while it was read; do not overwrite audio that is being transcribed.",
)

# --- Reasons of the worker: the media
UNSUPPORTED_MEDIA = _permanent(
    "UnsupportedMedia",
    exit_codes.MEDIA_INVALID,
    "The object is not audio or video that ffmpeg can decode; check the file itself, whatever its name.",
)
NO_AUDIO_STREAM = _permanent(
    "NoAudioStream",
    exit_codes.MEDIA_INVALID,
    "The file decodes but has no audio stream; check that the recording has sound.",
)
MEDIA_TRUNCATED = _permanent(
    "MediaTruncated",
    exit_codes.MEDIA_INVALID,
    "The file ends before the audio that its header announces; upload it again.",
)
AUDIO_TOO_LONG = _permanent(
    "AudioTooLong", exit_codes.MEDIA_INVALID, "Cut the recording into files of at most 24 hours each."
)

# --- Reasons of the worker: the text
LANGUAGE_UNCERTAIN = _permanent(
    "LanguageUncertain",
    exit_codes.TEXT_REFUSED,
    "Set spec.language, or change spec.languageDetection: its minProbability, its candidates or what to do below.",
)
QUALITY_REJECTED = _permanent(
    "QualityRejected",
    exit_codes.TEXT_REFUSED,
    "The transcripts are written, with the flagged segments in the json; listen to those, or set spec.quality.policy to retry or warn.",
)

# --- Reasons of the worker: the model
ENGINE_NOT_INSTALLED = _permanent(
    "EngineNotInstalled",
    exit_codes.TASK_INVALID,
    "Build the worker's image with the engine's extra, or choose another spec.engine.",
)
ENGINE_UNSUITABLE = _permanent(
    "EngineUnsuitable",
    exit_codes.TASK_INVALID,
    "The engine cannot do what the named field asks for: choose another spec.engine or leave the field out.",
)
MODEL_NOT_FOUND = _permanent(
    "ModelNotFound",
    exit_codes.MODEL_INVALID,
    "Check spec.model; names are those of openai-whisper, and a path or S3 object must exist.",
)
MODEL_DIGEST_MISMATCH = _permanent(
    "ModelDigestMismatch",
    exit_codes.MODEL_INVALID,
    "The model's SHA-256 is not spec.model.sha256; correct the digest or the file.",
)
MODEL_INVALID = _permanent(
    "ModelInvalid",
    exit_codes.MODEL_INVALID,
    "Check the model's file, which must be a Whisper checkpoint, or choose a model that has what the message asks for.",
)
# The same numbers come out of the same audio each time: the engine has computed them twice.
NUMERIC_OVERFLOW = _permanent(
    "NumericOverflow",
    exit_codes.MODEL_INVALID,
    "Set spec.decoding.precision to bfloat16 or float32. A model that gives NaN in float32 too cannot be used.",
)
MODEL_CACHE_NOT_WRITABLE = _permanent(
    "ModelCacheNotWritable",
    exit_codes.MODEL_INVALID,
    "Let the user or the group that the message names write to the folder or volume of spec.model.cache.",
)

# --- Reasons of the worker: the device
GPU_DRIVER_MISSING = _permanent(
    "GPUDriverMissing",
    exit_codes.DEVICE_UNUSABLE,
    "Install the NVIDIA driver and container toolkit on the node, or set spec.device.runtimeClassName to the NVIDIA runtime class.",
)
GPU_LIBRARY_MISSING = _permanent(
    "GPULibraryMissing",
    exit_codes.DEVICE_UNUSABLE,
    "The worker's image lacks a library that torch needs: use the image as it is published, for the node's architecture.",
)
GPU_DRIVER_TOO_OLD = _permanent(
    "GPUDriverTooOld",
    exit_codes.DEVICE_UNUSABLE,
    "Update the node's NVIDIA driver to the version that the message names, or add the "
    "worker's image that it names to the chart's worker.images.",
)
GPU_NOT_VISIBLE = _permanent(
    "GPUNotVisible",
    exit_codes.DEVICE_UNUSABLE,
    "The driver is there but no device is visible: check that the pod requests nvidia.com/gpu and that no "
    "NVIDIA_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES hides it.",
)
GPU_UNSUPPORTED = _permanent(
    "GPUUnsupported",
    exit_codes.DEVICE_UNUSABLE,
    "This image has no code for the GPU's compute capability: add the worker's image that the message names to the chart's "
    "worker.images, or select other nodes with spec.device.nodeSelector.",
)
# Transient, since the next pod may get another card, or another node.
GPU_FAILED = _transient(
    "GPUFailed",
    exit_codes.DEVICE_FAULT,
    "A small kernel failed on the GPU: check the kernel log of the node that the message names for Xid errors, and take the node "
    "or the card out of service.",
)
GPU_NOT_READY = _transient(
    "GPUNotReady",
    exit_codes.DEVICE_FAULT,
    "Wait until the node's GPU is ready, as the message says, or find out which other process has it to itself.",
)
GPU_UNRESPONSIVE = _transient(
    "GPUUnresponsive",
    exit_codes.DEVICE_FAULT,
    "The NVIDIA driver hangs: check the node's kernel log for Xid errors, and restart the node.",
)
GPU_FAULT = _transient(
    "GPUFault",
    exit_codes.DEVICE_FAULT,
    "The GPU failed while it was working: check the node's kernel log for Xid errors, and take the node out of service if "
    "they come again.",
)
OUT_OF_MEMORY = _transient(
    "OutOfMemory",
    exit_codes.OUT_OF_MEMORY,
    "Choose a smaller model, a GPU with more memory or a higher spec.device.resources.limits.memory; do not share the GPU.",
)

# --- Reasons of the worker: the destination and the pod
DESTINATION_DENIED = _permanent(
    "DestinationDenied",
    exit_codes.DESTINATION_DENIED,
    "Grant the credentials s3:PutObject and s3:GetObject under spec.destination.s3.prefix, and check that the bucket exists.",
)
DESTINATION_TAKEN = _permanent(
    "DestinationTaken",
    exit_codes.DESTINATION_DENIED,
    "Give each audio object a prefix of its own, set spec.destination.naming to Full where names differ in their extension "
    "alone, or set spec.destination.overwrite to true to replace the other object's results.",
)
NO_SPACE_LEFT = _transient(
    "NoSpaceLeft",
    exit_codes.NO_SPACE,
    "Raise spec.device.resources.limits.ephemeral-storage, or worker.sizeLimits of the chart, or use a node with more free disk.",
)
# Transient, since what used up a limit may be gone, and the next pod's node may have a sound disk.
RESOURCES_EXHAUSTED = _transient(
    "ResourcesExhausted", exit_codes.RESOURCES_EXHAUSTED, "Raise the limit that the message names."
)
SCRATCH_NOT_WRITABLE = _transient(
    "ScratchNotWritable", exit_codes.NO_SPACE, "Let the worker's user write to the folder that the message names."
)
INTERRUPTED = _transient("Interrupted", exit_codes.INTERRUPTED, "The pod was asked to stop; it is retried.")
INTERNAL_ERROR = _transient("InternalError", exit_codes.INTERNAL, "A defect: please report it with the worker's log.")

# --- Reasons of the worker: many files
NOTHING_TO_DO = _permanent(
    "NothingToDo",
    exit_codes.SOURCE_NOT_FOUND,
    "Check the source's prefix or manifest, and what skipped the objects; with spec.source.s3.allowEmpty this is Complete.",
)
TOO_MANY_FILES = _permanent(
    "TooManyFiles", exit_codes.TASK_INVALID, "Divide the files among several resources: by prefix, include or manifest."
)
MANIFEST_INVALID = _permanent(
    "ManifestInvalid", exit_codes.TASK_INVALID, "Correct the line and field that the message names, in a new manifest."
)
PLAN_MISSING = _permanent(
    "PlanMissing",
    exit_codes.SOURCE_NOT_FOUND,
    "Something deleted or changed objects below _runs/ in the destination; create the resource anew.",
)
RESULT_CONFLICT = _permanent(
    "ResultConflict",
    exit_codes.DESTINATION_DENIED,
    "Two sources have results of one name: set destination.naming to Full, or layout to Tree, or rename a source.",
)
RESULT_KEY_TOO_LONG = _permanent(
    "ResultKeyTooLong",
    exit_codes.TASK_INVALID,
    "Shorten destination.s3.prefix or the source's key: keys in S3 have at most 1,024 bytes, and the names between slashes 255 "
    "on servers that keep objects as files.",
)
WORKER_CRASHED = _permanent(
    "WorkerCrashed",
    exit_codes.MEDIA_INVALID,
    "The worker died while it had this file alone: look at the file, and at the pod's memory limit.",
)
NOT_TRANSCRIBED = _transient(
    "NotTranscribed",
    exit_codes.INTERNAL,
    "The pods of its shard ended before it was done; failed.jsonl is a manifest for the next run.",
)
RESULT_MISSING = _transient(
    "ResultMissing",
    exit_codes.INTERNAL,
    "A result was written and is gone or another one: look for what deletes or writes below the destination.",
)

WORKER_REASONS = tuple(
    value for value in list(globals().values()) if isinstance(value, Reason) and value.exit_code is not None
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Reason))
BY_NAME = {reason.name: reason for reason in ALL}
