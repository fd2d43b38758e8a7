"""Parts of the spec that say where the audio is and where the transcripts go."""

from dataclasses import dataclass, field

from transcription_api.choices import Naming
from transcription_api.options import option, required

# Names of Kubernetes' objects.
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


@dataclass(frozen=True)
class SecretRef:
    """A Secret in the resource's own namespace."""

    name: str = field(metadata=required(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN, help="The Secret's name."))


@dataclass(frozen=True)
class S3Endpoint:
    """How to reach a bucket: what source, destination and model have in common."""

    bucket: str = field(
        metadata=required(
            min_length=3, max_length=63, pattern="^[a-z0-9][a-z0-9._-]*[a-z0-9]$", help="The bucket's name."
        )
    )
    endpoint_url: str | None = option(
        None,
        min_length=8,
        max_length=512,
        help="URL of an S3 server, as in https://minio.storage.svc:9000. Without it Amazon S3 is meant. It holds no user "
        "name, password or query.",
    )
    region: str | None = option(
        None,
        min_length=1,
        max_length=63,
        pattern="^[A-Za-z0-9_-]+$",
        help="The bucket's region, as in eu-west-1. Without it the default of the environment is used, and us-east-1 where "
        "there is none.",
    )
    path_style: bool = option(
        False,
        help="Put the bucket into the URL's path and not into the host name. Many S3 servers other than Amazon's need it.",
    )
    credentials_secret_ref: SecretRef | None = option(
        None,
        help="A Secret in the resource's own namespace with the keys AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and "
        "AWS_SESSION_TOKEN where one is needed. The kubelet mounts it, the operator never reads it. Without it the pod's "
        "workload identity is used.",
    )


@dataclass(frozen=True, kw_only=True)
class S3Object(S3Endpoint):
    """One object in S3."""

    key: str = field(
        metadata=required(
            min_length=1,
            max_length=1024,
            help="The object's key, at most 1024 bytes in UTF-8, without a leading slash.",
        )
    )


@dataclass(frozen=True, kw_only=True)
class S3Prefix(S3Endpoint):
    """Where objects are written: a key is the prefix followed by a name, so a folder's prefix ends with a slash."""

    prefix: str = option(
        "",
        max_length=768,
        help="What every key starts with, at most 768 bytes in UTF-8. A folder ends with a slash, as in interviews/01/.",
    )


@dataclass(frozen=True)
class Source:
    """A union: exactly one member is set."""

    s3: S3Object = field(
        metadata=required(
            help="One object in S3, audio or video in any format that ffmpeg decodes.",
            part_help={"key": "The audio object's key, at most 1024 bytes in UTF-8, without a leading slash."},
        )
    )


@dataclass(frozen=True)
class Destination:
    """Exactly one place is set, beside what holds for any place."""

    s3: S3Prefix = field(
        metadata=required(
            help="Keys in a bucket. A transcript's key is the prefix, the audio's file name as naming says, and the format, as "
            "in interviews/01.srt.",
        )
    )
    naming: Naming = option(
        Naming.STEM,
        help="What results are called. Stem leaves out the extension of a media file, as openai-whisper's command does: "
        "call.mp3 gives call.json. Full keeps the whole name: call.mp3 gives call.mp3.json.",
    )
    overwrite: bool = option(
        False,
        help="Replace results that belong to another audio object. Without it the resource fails with DestinationTaken. "
        "Results of the same object are always replaced.",
    )
