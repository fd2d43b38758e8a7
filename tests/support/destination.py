"""A prefix of results that several audio objects are transcribed to, without an engine."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import Channel, Spec, parse_spec
from transcription_worker.engines.protocol import Transcript
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import Provenance
from transcription_worker.pipeline.s3_sink import S3Sink
from transcription_worker.pipeline.s3_source import S3Input
from transcription_worker.pipeline.sink import EngineUsed, TrackTranscript, Transcription
from transcription_worker.pipeline.source import InputVersion
from transcription_worker.storage.bucket import Bucket, ObjectInfo
from transcription_worker.storage.roles import Role

from tests.support.s3 import S3Server
from tests.support.worker_container import DESTINATION, WorkerContainer, written_objects

ENGINE = EngineUsed("none", ModelUsed("none"), DeviceUsed("cpu"))
VERSION = InputVersion("etag of the audio", 1)


def transcription(text: str, channels: Sequence[int | None] = (None,)) -> Transcription:
    segment = {
        **{"id": 0, "seek": 0, "start": 0.0, "end": 1.0, "text": f" {text}", "tokens": [1]},
        **{"temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0},
    }
    transcript = Transcript(f" {text}", [segment], "en", None, 1.0)
    return Transcription(tuple(TrackTranscript(transcript, channel) for channel in channels), 1.0, 1.0, ENGINE)


class Destination:
    """A prefix that results of any audio object are written to."""

    def __init__(self, container: WorkerContainer, prefix: str) -> None:
        self._container, self._prefix = container, prefix
        self._paths = Paths(container.root)
        self.provenance = Provenance("sha256:00", "transcription-worker 0")

    def spec(self, key: str, overwrite: bool = False, **fields: Any) -> Spec:
        value = self._container.spec(key, self._prefix, **{"formats": ["txt"], **fields})
        value["destination"]["overwrite"] = overwrite
        return parse_spec(value)

    def sink(self, spec: Spec, bucket: Bucket | None = None) -> S3Sink:
        bucket = bucket or Bucket(spec.destination.s3, Role.DESTINATION, self._paths)
        return S3Sink(spec, lambda _own: bucket, lambda: self.provenance)

    def write(self, spec: Spec, text: str, version: InputVersion = VERSION, bucket: Bucket | None = None) -> None:
        channels = (0, 1) if spec.audio.channel is Channel.SPLIT else (None,)
        self.sink(spec, bucket).write(S3Input(spec.source.s3.object()), version, transcription(text, channels))

    def find(self, spec: Spec, version: InputVersion = VERSION) -> bool:
        """Whether results are there to be reused. Raises WorkerError if they belong to another source."""
        return self.sink(spec).find_results(S3Input(spec.source.s3.object()), version) is not None

    def put_report(self, server: S3Server, body: bytes) -> None:
        server.client().put_object(Bucket=DESTINATION, Key=f"{self._prefix}call.report.json", Body=body)

    def report(self, server: S3Server) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(written_objects(server, self._prefix)["call.report.json"])
        return value


class SlowBucket(Bucket):
    """Lets another worker go on once, when the first transcript has been written, or with `before` when it is about to be."""

    def __init__(self, spec: Spec, paths: Paths, meanwhile: Callable[[], None], before: bool = False) -> None:
        super().__init__(spec.destination.s3, Role.DESTINATION, paths)
        self._meanwhile: Callable[[], None] | None = meanwhile
        self._before = before

    def write(self, key: str, body: bytes, content_type: str) -> ObjectInfo:
        self._let(key, before=True)
        info = super().write(key, body, content_type)
        self._let(key, before=False)
        return info

    def replace(self, key: str, body: bytes, content_type: str, etag: str | None) -> ObjectInfo | None:
        self._let(key, before=True)
        info = super().replace(key, body, content_type, etag)
        self._let(key, before=False)
        return info

    def _let(self, key: str, before: bool) -> None:
        if key.endswith(".txt") and before == self._before and self._meanwhile is not None:
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
