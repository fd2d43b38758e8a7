"""Results in folders of this machine."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from transcription_api import reasons
from transcription_api.decoding import MAX_SPLIT_CHANNELS
from transcription_api.report import Report
from transcription_api.spec import Channel, Format, QualityPolicy, Subtitles

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.local_results import require_writable, write_results
from transcription_worker.pipeline.local_source import LocalFile, require_unchanged
from transcription_worker.pipeline.report import make_report
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.shortage import shortage


class LocalSink:
    """Writes each input's results to its folder."""

    def __init__(
        self,
        formats: Sequence[Format],
        subtitles: Subtitles,
        policy: QualityPolicy,
        channel: Channel = Channel.MIX,
    ) -> None:
        self._formats, self._subtitles, self._policy = formats, subtitles, policy
        # The channels of a file are not known before it is decoded; the last one's name is the longest.
        self._longest = MAX_SPLIT_CHANNELS - 1 if channel is Channel.SPLIT else None

    def find_results(self, item: LocalFile, version: InputVersion) -> Report | None:
        """Return None: whether results of earlier runs are kept is decided before files become inputs.

        Raises:
            WorkerError: DestinationTaken, if another file of this run has the very same names for its results.
        """
        if item.taken_by is not None:
            message = f"its results would be called like those of {str(item.taken_by)!r}: {item.folder / item.stem}.*"
            raise WorkerError(reasons.DESTINATION_TAKEN, message)
        return None

    def check_writable(self, item: LocalFile) -> None:
        """See `Sink.check_writable`.

        Raises:
            WorkerError: DestinationDenied, with what is wrong with the folder or the name of the results.
        """
        try:
            require_writable(item.result(fmt, self._longest) for fmt in self._formats)
        except OSError as error:
            raise _denied(item, error) from error

    def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
        """See `Sink.write`.

        Raises:
            WorkerError: SourceChanged, where the transcript is no longer that of the file; NoSpaceLeft and
                ResourcesExhausted, or DestinationDenied where nothing can be written.
        """
        # Plain WAV files are read where they lie. One that is gone meanwhile was read to its end all the same.
        if item.path.exists():
            require_unchanged(item, version)
        try:
            write_results(dict(self._results(item, transcription)))
        except OSError as error:
            raise _denied(item, error) from error
        return make_report(transcription, version.etag, self._policy)

    def _results(self, item: LocalFile, transcription: Transcription) -> Iterator[tuple[Path, bytes]]:
        """Render the first channel last: its results then say that those of the others are there."""
        from transcription_worker.engines.formats.writers import render_format

        for track in reversed(transcription.tracks):
            for fmt in self._formats:
                yield item.result(fmt, track.channel), render_format(track.transcript, fmt, self._subtitles)


def _denied(item: LocalFile, error: OSError) -> WorkerError:
    lacking = shortage(error)
    reason = reasons.DESTINATION_DENIED if lacking is None else lacking.reason
    return WorkerError(reason, f"cannot write to {str(item.folder)!r}: {error.strerror or type(error).__name__}")
