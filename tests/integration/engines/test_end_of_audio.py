"""Where a recording ends inside a window, nothing that is written ends after it, whichever engine transcribes."""

import json
import re
from pathlib import Path

import pytest
from transcription_api.report import DeviceUsed, ModelUsed
from transcription_api.spec import EngineKind
from transcription_worker.engines.checkpoints.model_file import ModelFile
from transcription_worker.engines.protocol import InMemory, Input
from transcription_worker.pipeline.engine_loader import EngineLoader

from tests.support.local_files import plan
from tests.support.local_run import transcribe
from tests.support.speech import SAMPLE_RATE, speak, write_wav
from tests.support.testmodel import model_path, model_sha256

# The recording is cut off within a word. The model, which hears silence up to 30 s then, lets the word end after the cut.
SECONDS = 3.01
QUICK = ("--temperature", "0", "--temperature-increment-on-fallback", "None", "--beam-size", "1", "--language", "en")
Times = list[tuple[float, float]]


def json_times(text: str) -> Times:
    return [(round(one["start"], 3), round(one["end"], 3)) for one in json.loads(text)["segments"]]


def tsv_times(text: str) -> Times:
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return [(int(start) / 1000, int(end) / 1000) for start, end, _ in rows]


def cue_times(text: str) -> Times:
    """Return the times of srt or vtt, of a recording of less than a minute."""
    found = re.findall(r"00:(\d\d)[.,](\d{3}) --> (?:00:)+(\d\d)[.,](\d{3})", text)
    return [(float(f"{start}.{rest}"), float(f"{end}.{more}")) for start, rest, end, more in found]


READERS = {"json": json_times, "tsv": tsv_times, "srt": cue_times, "vtt": cue_times}


@pytest.mark.parametrize("engine", EngineKind)
def test_every_cue_has_a_length_and_ends_with_the_audio_though_the_engine_ends_later(
    engine: EngineKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRANSCRIPTION_ROOT", str(tmp_path))  # of conversions for faster-whisper
    (tmp_path / "var/cache/transcription/models").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    samples = speak("en", 501, 12)[0][: int(SECONDS * SAMPLE_RATE)]
    write_wav(tmp_path / "cut.wav", samples)
    asked = plan(tmp_path / "cut.wav", "-o", tmp_path / "out", "-f", "all", "--engine", engine.value, *QUICK)
    model = ModelFile(model_path(), ModelUsed("model.pt", f"sha256:{model_sha256()}"))
    loader = EngineLoader(engine, asked.options, DeviceUsed("cpu"), lambda: model)
    (own,) = loader.load().engine.transcribe([Input("a", lambda: InMemory(samples), asked.options)])
    assert own.value().segments[-1]["end"] > SECONDS

    assert transcribe(asked, tmp_path / "scratch", loader=loader).done == {"cut.wav"}
    times = {fmt: read((tmp_path / f"out/cut.{fmt}").read_text()) for fmt, read in READERS.items()}
    assert times == dict.fromkeys(READERS, times["json"])
    assert len(times["json"]) == len(own.value().segments)
    assert all(start < end for start, end in times["json"])
    assert times["json"][-1][1] == SECONDS
