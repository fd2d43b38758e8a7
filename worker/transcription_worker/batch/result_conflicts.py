"""Which files of a plan cannot have their results: two of one name, or a key that S3 has no room for."""

from collections import defaultdict

from transcription_api import layout, reasons
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import Channel, Spec

from transcription_worker.batch.entries import Entry, entry_spec
from transcription_worker.batch.outcomes import Row, refused_row
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.channel_names import channel_of
from transcription_worker.pipeline.s3_sink import KEY_LIMIT, TRIAL_SUFFIX

# The longest name of a result: a channel and a format after the stem.
SUFFIX_BYTES = len(f".ch{MAX_SPLIT_CHANNELS - 1}{layout.REPORT_SUFFIX}{TRIAL_SUFFIX}")

# The bucket and the key of an object that a file's results take up.
Claim = tuple[str, str]


def without_conflicts(spec: Spec, entries: list[Entry]) -> tuple[list[Entry], list[Row]]:
    """Leave out files whose results would replace each other's, and those whose results' keys are too long."""
    specs = {entry.number: entry_spec(spec, entry) for entry in entries}
    owners: dict[Claim, list[Entry]] = defaultdict(list)
    for entry in entries:
        for claim in _claims(specs[entry.number]):
            owners[claim].append(entry)
    clashes = _channel_clashes(entries, specs, owners)
    good, refused = [], []
    for entry in entries:
        error = _conflict(entry, specs[entry.number], owners, clashes)
        if error is None:
            good.append(entry)
        else:
            refused.append(refused_row(entry, error))
    return good, refused


def _claims(own: Spec) -> list[Claim]:
    """The buckets and keys that two files cannot both have: the json of x.report is x's report, too."""
    keys = (layout.report_key(own), *(layout.result_key(own, fmt) for fmt in own.formats))
    return [(own.destination.s3.bucket, key) for key in keys]


def _channel_clashes(
    entries: list[Entry], specs: dict[int, Spec], owners: dict[Claim, list[Entry]]
) -> dict[int, tuple[Entry, str]]:
    """Return, by its number, the other file and the key that a channel of a file that is split shares with that other one.

    How many channels a file has is not known before it is decoded, so that it may have each. Only files with a channel's
    name are looked at, as call.ch0.wav beside call.wav; they are few.
    """
    clashes: dict[int, tuple[Entry, str]] = {}
    for entry in entries:
        own = specs[entry.number]
        whole = None if own.audio.channel is Channel.SPLIT else channel_of(layout.stem(own))
        if whole is None:
            continue
        for fmt in own.formats:
            claim = (own.destination.s3.bucket, own.destination.s3.prefix + layout.file_name(whole[0], fmt))
            for other in owners.get(claim, ()):
                if specs[other.number].audio.channel is Channel.SPLIT and fmt in specs[other.number].formats:
                    key = layout.result_key(own, fmt)
                    clashes[entry.number], clashes[other.number] = (other, key), (entry, key)
    return clashes


def _conflict(
    entry: Entry, own: Spec, owners: dict[Claim, list[Entry]], clashes: dict[int, tuple[Entry, str]]
) -> WorkerError | None:
    longest = len(own.destination.s3.prefix.encode()) + len(layout.stem(own).encode()) + SUFFIX_BYTES
    if longest > KEY_LIMIT:
        message = f"{entry.key!r}: its results' keys have up to {longest} bytes, expected at most {KEY_LIMIT}"
        return WorkerError(reasons.RESULT_KEY_TOO_LONG, message)
    others = [(other, claim[1]) for claim in _claims(own) for other in owners[claim] if other.number != entry.number]
    if entry.number in clashes:
        others.append(clashes[entry.number])
    if not others:
        return None
    other, key = others[0]
    where = f" in bucket {other.bucket!r}" if other.bucket else ""
    return WorkerError(reasons.RESULT_CONFLICT, f"{entry.key!r} and {other.key!r}{where} both have the result {key!r}")
