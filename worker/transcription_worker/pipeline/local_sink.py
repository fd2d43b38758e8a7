"""Results in folders of this machine."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from transcription_api import reasons
from transcription_api.report import Report
from transcription_api.spec import Format, QualityPolicy, Subtitles

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.local_source import LocalFile
from transcription_worker.pipeline.pipeline import is_no_space
from transcription_worker.pipeline.report import make_report
from transcription_worker.pipeline.sink import Transcription
from transcription_worker.pipeline.source import InputVersion


class LocalSink:
    """Writes each input's results to its folder."""

    def __init__(self, formats: Sequence[Format], subtitles: Subtitles, policy: QualityPolicy) -> None:
        self._formats, self._subtitles, self._policy = formats, subtitles, policy

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
        """Do nothing: the output folder was tried before files became inputs."""

    def write(self, item: LocalFile, version: InputVersion, transcription: Transcription) -> Report:
        """See `Sink.write`.

        Raises:
            WorkerError: NoSpaceLeft, or DestinationDenied where nothing can be written.
        """
        try:
            write_results(dict(self._results(item, transcription)))
        except OSError as error:
            reason = reasons.NO_SPACE_LEFT if is_no_space(error) else reasons.DESTINATION_DENIED
            raise WorkerError(reason, f"cannot write to {str(item.folder)!r}: {error.strerror}") from error
        return make_report(transcription, version.etag, self._policy)

    def _results(self, item: LocalFile, transcription: Transcription) -> Iterator[tuple[Path, bytes]]:
        """Render the first channel last: its results then say that those of the others are there."""
        from transcription_worker.engines.formats.writers import render_format

        for track in reversed(transcription.tracks):
            for fmt in self._formats:
                yield item.result(fmt, track.channel), render_format(track.transcript, fmt, self._subtitles)


def write_results(results: Mapping[Path, bytes]) -> None:
    """Write all files beside their places, then rename all of them in order, so that no file is ever half written.

    Raises:
        OSError: there is no space, or no right to write.
    """
    mine = f".transcription-{os.getpid()}-{threading.get_ident()}"
    beside = [path.parent / f"{mine}-{index}.partial" for index, path in enumerate(results)]
    try:
        for partial, (path, body) in zip(beside, results.items(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(body)
        for partial, path in zip(beside, results, strict=True):
            partial.replace(path)
    finally:
        for partial in beside:
            partial.unlink(missing_ok=True)
