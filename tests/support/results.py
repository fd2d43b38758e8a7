"""Find the results of a task in its destination, as a worker of the test's model does before it transcribes."""

from transcription_api.spec import Spec
from transcription_worker.model import find_model_version
from transcription_worker.paths import Paths
from transcription_worker.pipeline.report import CommittedReport, Provenance, worker_version
from transcription_worker.pipeline.s3_report import read_report
from transcription_worker.pipeline.s3_sink import whole_result
from transcription_worker.storage.bucket import Bucket


def find_result(bucket: Bucket, spec: Spec, source_etag: str, paths: Paths) -> CommittedReport | None:
    """Return the report of an earlier run of the same task on the same source, if every object of it is unchanged."""
    provenance = Provenance(find_model_version(spec.model, paths), worker_version())
    return whole_result(bucket, spec, source_etag, read_report(bucket, spec), provenance)
