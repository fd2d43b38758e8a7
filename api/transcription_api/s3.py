"""Parts of the spec that say where the audio is and where the transcripts go."""

import dataclasses
from dataclasses import dataclass, field

from transcription_api.choices import Layout, Naming
from transcription_api.codec import InvalidFieldError
from transcription_api.options import Bounds, option, required

# Names of Kubernetes' objects.
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"


BUCKET = "^[a-z0-9][a-z0-9._-]*[a-z0-9]$"


@dataclass(frozen=True)
class SecretRef:
    """A Secret in the resource's own namespace."""

    name: str = field(metadata=required(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN, help="The Secret's name."))


@dataclass(frozen=True)
class S3Endpoint:
    """How to reach a bucket: what source, destination and model have in common."""

    bucket: str = field(metadata=required(min_length=3, max_length=63, pattern=BUCKET, help="The bucket's name."))
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

    bucket: str = option(
        "",
        implicit=True,
        min_length=3,
        max_length=63,
        pattern=BUCKET,
        help="The bucket's name. Only with layout Adjacent it may be left out: results then lie beside their sources, in the "
        "bucket of each, and are written with the source's endpoint and, without credentialsSecretRef, its credentials.",
    )
    prefix: str = option(
        "",
        max_length=768,
        help="What every key starts with, at most 768 bytes in UTF-8. A folder ends with a slash, as in interviews/01/.",
    )


@dataclass(frozen=True, kw_only=True)
class S3BesideSources(S3Prefix):
    """The destination of a resource that names no bucket, with the source's; a file of another bucket has its results there."""


# A key without control characters and without a slash at either end.
OBJECT_KEY = "^[^/[:cntrl:]]([^[:cntrl:]]*[^/[:cntrl:]])?$"
# Files of one resource.
MAX_FILES = 100_000
# Keys that a spec may list itself; an object in etcd has about 1.5 MB of room.
MAX_KEYS = 1000


@dataclass(frozen=True, kw_only=True)
class S3Objects(S3Endpoint):
    """Media in one bucket. Exactly one of key, keys, prefix and manifest is set; the others narrow a prefix down."""

    key: str | None = option(
        None,
        min_length=1,
        max_length=1024,
        help="The audio object's key, at most 1024 bytes in UTF-8, without a leading slash.",
    )
    keys: tuple[str, ...] = option(
        (),
        max_items=MAX_KEYS,
        items=Bounds(min_length=1, max_length=1024, pattern=OBJECT_KEY),
        help="The keys of several objects, each once.",
    )
    prefix: str | None = option(
        None,
        max_length=1024,
        help="Every media object whose key starts with this, at most 100,000; an empty text means the whole bucket. Objects "
        "that are no media, by their extension and first bytes, are skipped.",
    )
    manifest: str | None = option(
        None,
        min_length=1,
        max_length=1024,
        pattern=OBJECT_KEY,
        help="The key of a list of objects in JSON Lines: key, and bucket, reference, language, task, initialPrompt, clips, "
        "channel and formats where an object has its own.",
    )
    include: tuple[str, ...] = option(
        (),
        max_items=32,
        items=Bounds(min_length=1, max_length=256),
        help="Globs, one of which the rest of a key after the prefix must match, as in **/*.mp3. * is any text without a "
        "slash, ** any text, ? one character. Only with prefix.",
    )
    exclude: tuple[str, ...] = option(
        (),
        max_items=32,
        items=Bounds(min_length=1, max_length=256),
        help="Globs, none of which the rest of a key after the prefix may match. Only with prefix.",
    )
    min_size: int | None = option(
        None, minimum=0, int64=True, help="Smaller objects are skipped, in bytes. Only with prefix."
    )
    max_size: int | None = option(
        None, minimum=1, int64=True, help="Larger objects are skipped, in bytes. Only with prefix."
    )
    modified_after: str | None = option(
        None,
        max_length=32,
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        help="Objects that were written at this time or earlier are skipped, as in 2026-11-01T00:00:00Z. Only with prefix.",
    )
    allow_empty: bool = option(
        False,
        implicit=True,
        help="Complete with no file where there is nothing to transcribe. Without it that fails with NothingToDo.",
    )

    def object(self) -> S3Object:
        """Return the one object that is named.

        Raises:
            ValueError: The source names several objects.
        """
        if self.key is None:
            raise ValueError("spec.source.s3: got many objects, expected one")
        return S3Object(
            bucket=self.bucket,
            endpoint_url=self.endpoint_url,
            region=self.region,
            path_style=self.path_style,
            credentials_secret_ref=self.credentials_secret_ref,
            key=self.key,
        )


def single(location: S3Object) -> S3Objects:
    """Return the objects of a source that names one."""
    return S3Objects(**{item.name: getattr(location, item.name) for item in dataclasses.fields(location)})


@dataclass(frozen=True)
class Source:
    """A union: exactly one member is set."""

    s3: S3Objects = field(
        metadata=required(
            help="Objects in S3, audio or video in any format that ffmpeg decodes. Exactly one of key, keys, prefix and "
            "manifest is set.",
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
    layout: Layout = option(
        Layout.TREE,
        implicit=True,
        help="Where results lie. Of many files, Tree keeps the path below the source's prefix: in/a/b.wav gives "
        "a/b.json. Flat leaves it out. Adjacent keeps the source's whole path, for results beside their sources; the prefix is "
        "then that of the run's own objects alone.",
    )
    overwrite: bool = option(
        False,
        help="Replace results that belong to another audio object. Without it the resource fails with DestinationTaken. "
        "Results of the same object are always replaced.",
    )


def beside_sources(source: S3Objects, named: Destination, many: bool) -> Destination:
    """Return a destination with the layout Adjacent as it is meant: its bucket, and for a single file its folder.

    Raises:
        InvalidFieldError: No bucket is named, and the layout is another one.
    """
    if not named.s3.bucket and named.layout is not Layout.ADJACENT:
        raise InvalidFieldError("spec.destination.s3.bucket", None, "the name of a bucket, or layout Adjacent")
    place = named.s3
    if not place.bucket:
        reached = {name: getattr(source, name) for name in ("bucket", "endpoint_url", "region", "path_style")}
        credentials = place.credentials_secret_ref or source.credentials_secret_ref
        place = S3BesideSources(**reached, credentials_secret_ref=credentials, prefix=place.prefix)
    if not many and source.key is not None:
        place = dataclasses.replace(place, prefix=folder_of(source.key))
    return dataclasses.replace(named, s3=place)


def folder_of(key: str) -> str:
    """Return the folder of a key, with a slash at its end or empty."""
    folder = key.rpartition("/")[0]
    return f"{folder}/" if folder else ""
