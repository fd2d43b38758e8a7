"""Where results lie in the destination, and what makes two tasks the same one."""

import dataclasses
import hashlib
import json
from pathlib import PurePosixPath
from typing import Any

from transcription_api.choices import Naming
from transcription_api.codec import camel, to_json
from transcription_api.spec import Format, S3Objects, Spec

# Beside the transcripts and written last: its presence means that the result is whole.
REPORT_SUFFIX = ".report.json"

# Below the destination's prefix: a folder for each resource over many files, with its plan and its account.
RUNS_FOLDER = "_runs/"
ACCOUNT_NAME = "report.json"

# Extensions of media files in small letters. A file with another one may hold audio all the same; this is about names.
MEDIA_EXTENSIONS = frozenset(
    ".3g2 .3gp .aac .ac3 .aif .aifc .aiff .amr .ape .asf .au .avi .caf .dsf .dts .eac3 .flac .flv .gsm .m2ts .m4a .m4b .m4v "
    ".mka .mkv .mov .mp2 .mp3 .mp4 .mpc .mpeg .mpg .mpga .mts .mxf .oga .ogg .ogv .oma .opus .ra .rm .spx .tak .ts .tta .vob "
    ".voc .w64 .wav .weba .webm .wma .wmv .wv".split()
)

# Fields of a spec that do not decide what the transcripts say. Every other field is in the fingerprint, so that a field
# that is forgotten here makes a transcription run again and never passes off an old result as the one asked for.
FIELDS_OUTSIDE_FINGERPRINT = (
    # The same object, reached in another way or with other rights.
    "source.s3.region",
    "source.s3.path_style",
    "source.s3.credentials_secret_ref",
    # Which objects there are. Each file of many has the fingerprint that it would have alone.
    "source.s3.keys",
    "source.s3.prefix",
    "source.s3.manifest",
    "source.s3.include",
    "source.s3.exclude",
    "source.s3.min_size",
    "source.s3.max_size",
    "source.s3.modified_after",
    "source.s3.allow_empty",
    # Where the result lies. It is only found where the spec says that it is.
    "destination",
    # Where the model's file is kept, which is the same file.
    "model.cache",
    # What the status shows of the transcript.
    "preview",
    # Half precision may change a word, but never makes another task of it.
    "device",
    # When and how often a worker is started, and with whose rights.
    "parallelism",
    "shard",
    "failure_policy",
    "rerun",
    "dry_run",
    "cost_per_gpu_hour",
    "retries",
    "active_deadline_seconds",
    "pending_deadline_seconds",
    "ttl_seconds_after_finished",
    "deletion_policy",
    "suspend",
    "queue_name",
    "service_account_name",
)
# The order in which a source has been hashed since the first version.
SOURCE_IDENTITY = ("endpoint_url", "bucket", "key")


def result_name(path: str, naming: Naming) -> str:
    """Return what the results of a media file are called, without format and channel.

    Stem leaves out the last extension as the whisper command does, but only one that media files have: what follows the
    last dot of `2024.01.05 standup` is part of its name.
    """
    name = PurePosixPath(path)
    if naming is Naming.STEM and name.suffix.lower() in MEDIA_EXTENSIONS:
        return name.stem
    return name.name


def stem(spec: Spec) -> str:
    """Return what the results of the spec's source are called, without format and channel."""
    return result_name(spec.source.s3.object().key, spec.destination.naming)


def result_key(spec: Spec, fmt: Format, channel: int | None = None) -> str:
    """Return the key of one transcript.

    interviews/01.wav with the prefix out/ gives out/01.srt, and out/01.ch0.srt for the first of several channels.
    """
    return f"{spec.destination.s3.prefix}{file_name(stem(spec), fmt, channel)}"


def file_name(stem: str, fmt: Format, channel: int | None = None) -> str:
    """Return the name of one transcript in a bucket or a folder."""
    apart = "" if channel is None else f".ch{channel}"
    return f"{stem}{apart}.{fmt.value}"


def report_key(spec: Spec) -> str:
    """Return the key of the report, which is written last and marks the result as whole."""
    return f"{spec.destination.s3.prefix}{stem(spec)}{REPORT_SUFFIX}"


def run_prefix(spec: Spec, name: str, uid: str) -> str:
    """Return what the keys of one resource's plan, account and checkpoints start with: nothing of another's lies there.

    Only resources with phases have a plan and an account. `name` and `uid` are the resource's.
    """
    return f"{spec.destination.s3.prefix}{RUNS_FOLDER}{name}-{uid[:8]}/"


def account_key(spec: Spec, name: str, uid: str) -> str:
    """Return the key of the account of many files, which the phase collect writes last."""
    return f"{run_prefix(spec, name, uid)}{ACCOUNT_NAME}"


def fingerprint(spec: Spec) -> str:
    """Return a SHA-256 over all that decides the result.

    Together with the source's ETag it says whether a result that is found is the one asked for.
    """
    parts = _deciding(spec, "")
    parts["source"] = _source(spec.source.s3)
    # An absent cache was written as null by the first version.
    parts["model"]["cache"] = None
    # The order of the formats changes nothing.
    parts["formats"] = sorted(fmt.value for fmt in spec.formats)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _deciding(part: Any, path: str) -> dict[str, Any]:
    """Return the fields of a dataclass that are in the fingerprint, as JSON. `path` ends with a dot or is empty."""
    found = {}
    for field in dataclasses.fields(part):
        value, name = getattr(part, field.name), f"{path}{field.name}"
        if name in FIELDS_OUTSIDE_FINGERPRINT or value is None:
            continue
        found[camel(field.name)] = _deciding(value, f"{name}.") if dataclasses.is_dataclass(value) else to_json(value)
    return found


def _source(source: S3Objects) -> list[Any]:
    """Return the source as a list, as the first version wrote it. A field that is added later follows at the end."""
    others = {
        name: value
        for name, value in _deciding(source, "source.s3.").items()
        if name not in [camel(identity) for identity in SOURCE_IDENTITY]
    }
    return [*(getattr(source, name) for name in SOURCE_IDENTITY), *([others] if others else [])]
