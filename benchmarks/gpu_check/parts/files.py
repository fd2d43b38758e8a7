"""Measure the whole way from mp3 files on disk to written transcripts, with the machine's cores, as a pod takes it.

Once window after window, and once cut at silences, which are found on the CPU. The model has random weights and gives as many
tokens for each window. A program that decodes an mp3 alone is measured beside it, for what the cores could do at most.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from transcription_api.report import DeviceUsed, ModelUsed, Report
from transcription_api.spec import AudioSelection, Decoding, Format, LongForm, QualityPolicy, Subtitles
from transcription_worker.engines.audio_wait import AudioWait
from transcription_worker.engines.batched.engine import BatchedEngine
from transcription_worker.engines.protocol import Options
from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.engine_loader import EngineLoader, LoadedEngine
from transcription_worker.pipeline.listener import PipelineListener
from transcription_worker.pipeline.local_sink import LocalSink
from transcription_worker.pipeline.local_source import LocalFile, LocalSource
from transcription_worker.pipeline.pipeline import Pipeline
from transcription_worker.pipeline.pipeline_options import PipelineOptions
from transcription_worker.pipeline.sink import EngineUsed, Transcription

from benchmarks.engines.gpu import EOT, fixed_length_options
from benchmarks.engines.random_models import SIZES, random_model
from benchmarks.gpu_check.parts.options import Run, begin, part_parser, skip
from tests.support.speech import SAMPLE_RATE, speak, write_wav

SPOKEN_SECONDS = 120.0
PROGRAMS = ("ffmpeg", "espeak-ng", "setpriv", "prlimit")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both ways over so many files of SPOKEN_SECONDS."""
    parser = part_parser(__doc__)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--tokens", type=int, default=100, help="for each window; a GPU takes a multiple of 4")
    parser.add_argument("--files", type=int, default=400)
    run = begin(parser, arguments)
    if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise skip(f"this machine has no {', '.join(lacking)}")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        spoken, seconds = write_mp3(place)
        run.figures.add("ffmpeg alone, x real time of a core", seconds / decode_seconds(spoken), "x")
        engine = BatchedEngine(random_model(run.options.size, run.options.tokens, str(run.device)))
        for name, form in (("off", LongForm.SEQUENTIAL), ("on", LongForm.CHUNKED)):
            measure(
                run, engine, form, f"{run.options.size}, silence detection {name}", copies(spoken, place / name, run)
            )
    return 0


def write_mp3(folder: Path) -> tuple[Path, float]:
    """Return an mp3 file of synthetic speech, and its seconds."""
    samples, _ = speak("en", 77, SPOKEN_SECONDS)
    wav, mp3 = folder / "spoken.wav", folder / "spoken.mp3"
    write_wav(wav, samples)
    command = ["ffmpeg", "-v", "error", "-i", str(wav), "-ar", "44100", "-c:a", "libmp3lame", "-b:a", "64k", str(mp3)]
    subprocess.run(command, check=True)
    return mp3, samples.size / SAMPLE_RATE


def decode_seconds(path: Path) -> float:
    """Return the seconds that ffmpeg takes to decode the file to Whisper's samples on one core."""
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-threads",
        "1",
        "-i",
        str(path),
        "-f",
        "s16le",
        "-ac",
        "1",
        "-ar",
        "16000",
        "-",
    ]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def copies(spoken: Path, folder: Path, run: Run) -> list[LocalFile]:
    """Return the same file under so many names."""
    folder.mkdir()
    found = []
    for number in range(run.options.files):
        path = folder / f"{number:05}.mp3"
        path.hardlink_to(spoken)
        found.append(LocalFile(path, folder, path.stem, path.stat().st_size))
    return found


class ReadyEngine(EngineLoader):
    """An engine that is loaded already."""

    def __init__(self, engine: BatchedEngine, kind: str) -> None:
        self._device = DeviceUsed(kind)
        self._ready = LoadedEngine(engine, EngineUsed(engine.name, ModelUsed("random"), self._device))

    def check(self) -> None:
        """Refuse nothing."""

    def load(self) -> LoadedEngine:
        """See `EngineLoader.load`."""
        return self._ready


class Counts(PipelineListener[LocalFile]):
    """Adds up the audio of the files that are written, and keeps the failures."""

    def __init__(self) -> None:
        self.seconds, self.written, self.windows, self.errors = 0.0, 0, 0, list[str]()
        self.waited: float | None = None

    def input_written(self, number: int, item: LocalFile, transcription: Transcription, report: Report) -> None:  # noqa: ARG002
        self.seconds += transcription.audio_seconds
        self.written += 1
        self.windows += sum(track.transcript.counters.windows for track in transcription.tracks)

    def audio_waited(self, waited: float, seconds: float) -> None:
        self.waited = waited / max(seconds, 1e-3)

    def input_failed(self, number: int, item: LocalFile, error: WorkerError) -> None:  # noqa: ARG002
        self.errors.append(str(error))


def measure(run: Run, engine: BatchedEngine, form: LongForm, name: str, files: list[LocalFile]) -> None:
    """Transcribe all files and write their transcripts."""
    decoding = Decoding(
        temperatures=(0.0,),
        beam_size=1,
        suppress_tokens=(-1, EOT),
        without_timestamps=True,
        condition_on_previous_text=False,
        long_form=form,
    )
    engine.audio_wait = AudioWait()  # of this measurement alone
    counts, began, used = Counts(), time.monotonic(), cpu_seconds()
    with tempfile.TemporaryDirectory() as scratch:
        pipeline_of(engine, run, fixed_length_options(decoding), files, counts, Path(scratch)).run()
    took = time.monotonic() - began
    if counts.written != len(files):
        raise RuntimeError(f"{counts.written} of {len(files)} files were written: {counts.errors[:3]}")
    run.figures.add(f"{name}: mp3 files to transcripts", counts.seconds / took, "x")
    # What the two ways are compared by: a file cut at silences has more windows, and each has the same tokens.
    run.figures.add(f"{name}: windows decoded", counts.windows / took, "windows/s")
    if counts.waited is not None:
        run.figures.add(f"{name}: time that the GPU waited for audio", counts.waited, "of 1")
    run.figures.add(f"{name}: cores in use", (cpu_seconds() - used) / took, f"of {os.cpu_count()}")


def pipeline_of(
    engine: BatchedEngine, run: Run, options: Options, files: list[LocalFile], counts: Counts, scratch: Path
) -> "Pipeline[LocalFile]":
    """Return the pipeline that the local command has, with an engine that is there."""
    sink = LocalSink((Format.JSON, Format.SRT), Subtitles(), QualityPolicy.WARN)
    settings = PipelineOptions(options, AudioSelection(), scratch)
    return Pipeline(LocalSource(files), sink, ReadyEngine(engine, run.device.type), settings, counts)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the programs that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    raise SystemExit(main())
