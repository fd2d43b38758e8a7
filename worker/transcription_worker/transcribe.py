"""The model over the samples, with progress."""

import time
from dataclasses import dataclass

from transcription_api.report import DeviceUsed
from transcription_api.spec import Spec

from transcription_worker.decode import Samples
from transcription_worker.engines import weights
from transcription_worker.engines.openai_whisper import OpenAIWhisper
from transcription_worker.engines.protocol import Engine, InMemory, Input, Options, Transcript
from transcription_worker.engines.triton_link import use_prebuilt_link
from transcription_worker.model import ModelFile
from transcription_worker.progress import Board
from transcription_worker.threads import observed_thread_count


@dataclass(frozen=True)
class Transcribed:
    """`wall_seconds` is of the transcription alone, without the model's loading."""

    transcript: Transcript
    wall_seconds: float


def load_engine(model: ModelFile, device: DeviceUsed) -> Engine:
    """Raises WorkerError (ModelInvalid, OutOfMemory)."""
    weights.set_threads(observed_thread_count())
    where = "cuda:0" if device.kind == "cuda" else "cpu"
    if device.kind == "cuda":
        use_prebuilt_link()
    return OpenAIWhisper(weights.load(model.path, model.sha256, where, model.used.name))


def transcribe_samples(engine: Engine, samples: Samples, spec: Spec, board: Board) -> Transcribed:
    """Raises WorkerError with the outcome's reason."""
    language = None if spec.language == "auto" else spec.language
    one = Input(
        id="audio",
        open=lambda: InMemory(samples),
        options=Options(spec.task, language, spec.decoding, spec.language_detection, spec.audio.clips, spec.quality),
        on_progress=board.advance,
        on_language=lambda found: board.note(language=found),
    )
    began = time.monotonic()
    (outcome,) = engine.transcribe([one])
    return Transcribed(outcome.value(), time.monotonic() - began)
