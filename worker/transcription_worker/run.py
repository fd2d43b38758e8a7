"""One task from start to end: device, destination, audio, model, text, report."""

import logging
from dataclasses import dataclass, field
from typing import Any

from transcription_api.report import Report
from transcription_api.spec import Spec

from transcription_worker.device import prove_device
from transcription_worker.fetch import fetch_audio, find_audio
from transcription_worker.model import fetch_model
from transcription_worker.paths import Paths
from transcription_worker.progress import Board
from transcription_worker.report import complete_report, make_committed, reused_report
from transcription_worker.storage.bucket import Bucket, ObjectInfo
from transcription_worker.storage.roles import Role
from transcription_worker.transcribe import Track, Work, asked_seconds, open_tracks, options_of, transcribe_tracks
from transcription_worker.write import commit, find_result, try_destination, write_formats

log = logging.getLogger(__name__)

# torch and whisper take seconds to import: what needs them is imported where it is used, so that most failures come fast.


@dataclass
class Run:
    """`known` holds the report's fields as they become known: a failure tells them too."""

    spec: Spec
    paths: Paths
    board: Board
    known: dict[str, Any] = field(default_factory=dict)

    def complete(self) -> Report:
        """With the reason QualityRejected where spec.quality says so. Raises WorkerError for every other failure."""
        # First the device: without it no byte of audio is touched.
        self.known["device"] = prove_device(self.spec.device.policy)
        self.board.note(device=self.known["device"])
        self.board.enter("fetch")
        source = Bucket(self.spec.source.s3, Role.SOURCE, self.paths)
        destination = Bucket(self.spec.destination.s3, Role.DESTINATION, self.paths)
        found = find_audio(source, self.spec.source.s3)
        self.known["source_etag"] = found.etag
        earlier = find_result(destination, self.spec, found.etag)
        if earlier is not None:
            log.info("the result is there already, whole: nothing to transcribe")
            return reused_report(self.spec, earlier)
        self._refuse()
        try_destination(destination, self.spec)
        tracks = self._open(source, found)
        return self._write(destination, self._transcribe(tracks))

    def _refuse(self) -> None:
        from transcription_worker.engines.selection import refuse

        refuse(self.spec.engine, options_of(self.spec), self.known["device"])

    def _open(self, source: Bucket, found: ObjectInfo) -> list[Track]:
        audio = fetch_audio(source, self.spec.source.s3, found, self.paths.scratch)
        self.board.enter("decode")
        tracks = open_tracks(audio.path, self.paths.scratch, self.spec.audio.channel)
        audio.path.unlink()
        seconds = [asked_seconds(track.audio, self.spec.audio.clips) for track in tracks]
        self.known["audio_seconds"] = round(max(seconds), 3)
        self.board.note(seconds_total=round(sum(seconds), 3))
        return tracks

    def _transcribe(self, tracks: list[Track]) -> Work:
        self.board.enter("model")
        model = fetch_model(self.spec.model, self.paths)
        self.known["model"] = model.used
        from transcription_worker.engines.selection import load_engine

        engine = load_engine(self.spec.engine, model, self.known["device"], self.spec.decoding.precision)
        self.known["engine"] = engine.name
        self.board.enter("transcribe")
        return transcribe_tracks(engine, tracks, options_of(self.spec), self.board)

    def _write(self, destination: Bucket, work: Work) -> Report:
        self.board.enter("write")
        objects = write_formats(destination, self.spec, work.tracks)
        report = complete_report(self.spec, work, self.known, objects)
        commit(destination, self.spec, make_committed(self.spec, report, work))
        return report
