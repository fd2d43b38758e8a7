"""One task from start to end: device, destination, audio, model, text, report."""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transcription_api.report import Report
from transcription_api.spec import Spec

from transcription_worker.decode import SAMPLE_RATE, decode_audio
from transcription_worker.device import prove_device
from transcription_worker.fetch import fetch_audio, find_audio
from transcription_worker.model import fetch_model
from transcription_worker.places import Places
from transcription_worker.progress import Board
from transcription_worker.report import complete_report, reused_report, whole_preview
from transcription_worker.storage.bucket import Bucket, Found
from transcription_worker.storage.roles import Role
from transcription_worker.write import commit, find_result, try_destination, write_formats

if TYPE_CHECKING:
    from transcription_worker.transcribe import Transcribed

log = logging.getLogger(__name__)


@dataclass
class Run:
    """`known` holds the report's fields as they become known: a failure tells them too."""

    spec: Spec
    places: Places
    board: Board
    known: dict[str, Any] = field(default_factory=dict)

    def complete(self) -> Report:
        """Raises WorkerError for every failure that has a reason of its own."""
        # First the device: without it no byte of audio is touched.
        self.known["device"] = prove_device(self.spec.device.policy)
        self.board.note(device=self.known["device"])
        self.board.enter("fetch")
        source = Bucket(self.spec.source.s3, Role.SOURCE, self.places)
        destination = Bucket(self.spec.destination.s3, Role.DESTINATION, self.places)
        found = find_audio(source, self.spec.source.s3)
        self.known["source_etag"] = found.etag
        earlier = find_result(destination, self.spec, found.etag)
        if earlier is not None:
            log.info("the result is there already, whole: nothing to transcribe")
            return reused_report(self.spec, earlier)
        try_destination(destination, self.spec)
        done = self._transcribe(source, found)
        return self._write(destination, done)

    def _transcribe(self, source: Bucket, found: Found) -> "Transcribed":
        audio = fetch_audio(source, self.spec.source.s3, found, self.places.scratch)
        self.board.enter("decode")
        samples = decode_audio(audio.path)
        audio.path.unlink()
        self.known["audio_seconds"] = round(samples.size / SAMPLE_RATE, 3)
        self.board.note(seconds_total=self.known["audio_seconds"])
        self.board.enter("model")
        model = fetch_model(self.spec.model, self.places)
        self.known["model"] = model.used
        # torch and whisper take seconds to import: what fails before fails fast.
        from transcription_worker.transcribe import load_engine, transcribe_samples

        engine = load_engine(model, self.known["device"])
        self.known["engine"] = engine.name
        self.board.enter("transcribe")
        return transcribe_samples(engine, samples, self.spec, self.board)

    def _write(self, destination: Bucket, done: "Transcribed") -> Report:
        self.board.enter("write")
        objects = write_formats(destination, self.spec, done.transcript)
        known = self.known
        report = complete_report(
            self.spec, done, known["engine"], known["device"], known["model"], known["source_etag"], objects
        )
        commit(destination, self.spec, report, whole_preview(done.transcript))
        return report
