"""Names that a channel's results have and another file's may have too: call.ch0 of call.wav that is split, and of call.ch0.wav."""

import re
from collections.abc import Iterable, Iterator

from transcription_api import layout
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.spec import Spec

# As layout.file_name writes a channel.
_CHANNEL = re.compile(rf"(.+)\.ch({'|'.join(map(str, range(MAX_SPLIT_CHANNELS)))})", re.DOTALL)


def channel_of(stem: str) -> tuple[str, int] | None:
    """Return the name and the channel of the other file whose results may be called `stem`, or None for another name."""
    found = _CHANNEL.fullmatch(stem)
    return None if found is None else (found[1], int(found[2]))


def reports_sharing_names(spec: Spec, channels: Iterable[int | None]) -> Iterator[tuple[str, int | None]]:
    """Yield the keys of other files' reports whose results may have names that the results of these channels have.

    With each comes the channel that such a result is of in that report. None among `channels` is a file that is not split.
    """
    prefix, stem = spec.destination.s3.prefix, layout.stem(spec)
    for channel in channels:
        if channel is not None:
            yield f"{prefix}{stem}.ch{channel}{layout.REPORT_SUFFIX}", None
        elif (whole := channel_of(stem)) is not None:
            yield f"{prefix}{whole[0]}{layout.REPORT_SUFFIX}", whole[1]
