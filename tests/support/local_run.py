"""The local command's pipeline over files, with an engine that needs no model unless another loader is given."""

from dataclasses import dataclass, field
from pathlib import Path

from transcription_api.report import Report
from transcription_worker.errors import WorkerError
from transcription_worker.local.files import find_files
from transcription_worker.local.plan import Plan
from transcription_worker.pipeline.engine_loader import EngineLoader
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import Transcription

from tests.support.instant_engine import InstantEngine, InstantLoader


@dataclass
class Outcomes(PipelineListener[LocalFile]):
    """The names of files that are done, and the failure of each other one, by its name."""

    done: set[str] = field(default_factory=set)
    failures: dict[str, WorkerError] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, str]:
        """The reason of each file that failed."""
        return {name: error.reason.name for name, error in sorted(self.failures.items())}

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:
        self.done.add(item.path.name)

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:
        self.failures[item.path.name] = error


def transcribe(
    plan: Plan, scratch: Path, engine: InstantEngine | None = None, loader: EngineLoader | None = None
) -> Outcomes:
    """Run the pipeline over all files of a plan, and check that it leaves nothing in the scratch folder."""
    outcomes = Outcomes()
    sink = LocalSink(plan.formats, plan.subtitles, plan.options.quality.policy, plan.audio.channel)
    options = PipelineOptions(plan.options, plan.audio, scratch)
    loader = loader or InstantLoader(plan.options, engine)
    Pipeline(LocalSource(find_files(plan).files), sink, loader, options, outcomes).run()
    assert list(scratch.iterdir()) == []
    return outcomes
