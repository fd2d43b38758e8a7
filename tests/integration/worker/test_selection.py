"""Whole runs of the worker select channels, clips and engines, and handle text that looks wrong."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transcription_api import exit_codes, layout
from transcription_api.spec import Format, parse_spec
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.results import find_result
from tests.support.s3 import S3Server
from tests.support.speech import SAMPLE_RATE, speak, write_wav
from tests.support.transcript_score import spoken_text, word_error_rate
from tests.support.worker_container import DESTINATION, SOURCE, SPEECH_KEY, WorkerContainer, written_objects

QUICK = {"temperatures": [0], "beamSize": 1}
SPOKEN = [("en", 711, 30.0), ("pt", 712, 30.0)]


def upload(server: S3Server, path: Path, samples: Any) -> str:
    write_wav(path, samples)
    server.client().upload_file(str(path), SOURCE, path.name)
    return path.name


@pytest.fixture
def call(server: S3Server, tmp_path: Path) -> str:
    """Upload audio with English on the left and Portuguese on the right, and return its key."""
    for side, spoken in zip(("left", "right"), SPOKEN, strict=True):
        write_wav(tmp_path / f"{side}.wav", speak(*spoken)[0])
    joined: list[str | Path] = [
        "-i",
        tmp_path / "left.wav",
        "-i",
        tmp_path / "right.wav",
        "-filter_complex",
        "amerge=inputs=2",
    ]
    subprocess.run(["ffmpeg", "-v", "error", *joined, tmp_path / "call.wav"], check=True)
    server.client().upload_file(str(tmp_path / "call.wav"), SOURCE, "call.wav")
    return "call.wav"


def test_each_channel_has_its_transcripts_and_its_place_in_the_report(
    container: WorkerContainer, server: S3Server, call: str, prefix: str
) -> None:
    spec = container.spec(call, prefix, audio={"channel": "split"}, formats=["json", "srt"], decoding=QUICK)
    ended = container.run(spec)
    assert ended.code == 0, ended.log
    written, report = written_objects(server, prefix), ended.report
    names = {f"call.ch{channel}.{fmt}" for channel in (0, 1) for fmt in ("json", "srt")}
    assert set(written) == names | {"call.report.json"}
    transcripts = [json.loads(written[f"call.ch{channel}.json"]) for channel in (0, 1)]
    for spoken, transcript in zip(SPOKEN, transcripts, strict=True):
        assert transcript["language"] == spoken[0]
        assert word_error_rate(spoken_text(speak(*spoken)[1]), transcript["text"]) <= 0.05
    assert (report.channels, report.language, report.audio_seconds) == (2, "en", 30.0)
    assert report.segments == sum(len(transcript["segments"]) for transcript in transcripts)
    assert report.words == sum(len(transcript["text"].split()) for transcript in transcripts)
    assert {(item.format.value, item.channel) for item in report.objects} == {
        (fmt, channel) for fmt in ("json", "srt") for channel in (0, 1)
    }
    tracks = json.loads(written["call.report.json"])["tracks"]
    assert [(track["channel"], track["language"]) for track in tracks] == [(0, "en"), (1, "pt")]
    assert container.run(spec).report.reused

    # A result that lacks a channel does not count.
    parsed, etag = parse_spec(spec), report.source_etag
    assert etag is not None
    paths = Paths(container.root)
    bucket = Bucket(parsed.destination.s3, Role.DESTINATION, paths)
    assert find_result(bucket, parsed, etag, paths) is not None
    server.client().delete_object(Bucket=DESTINATION, Key=layout.result_key(parsed, Format.SRT, 1))
    assert find_result(bucket, parsed, etag, paths) is None


def test_one_channel_alone_is_transcribed(container: WorkerContainer, server: S3Server, call: str, prefix: str) -> None:
    ended = container.run(container.spec(call, prefix, audio={"channel": "right"}, decoding=QUICK))
    assert ended.code == 0, ended.log
    assert (ended.report.language, ended.report.channels) == ("pt", None)
    assert set(written_objects(server, prefix)) == {"call.json", "call.txt", "call.report.json"}


@pytest.mark.parametrize("engine", ["batched", "openai-whisper"])
def test_clips_alone_are_transcribed_at_their_own_times(
    container: WorkerContainer, server: S3Server, prefix: str, tmp_path: Path, engine: str
) -> None:
    samples, utterances = speak("en", 731, 60)
    key = upload(server, tmp_path / "long.wav", samples)
    first, last = utterances[3], utterances[-1]
    clips = [{"start": first.start - 0.2, "end": first.end + 0.2}, {"start": last.start - 0.2}]
    spec = container.spec(key, prefix, engine=engine, audio={"clips": clips}, decoding=QUICK, language="en")
    ended = container.run(spec)
    assert ended.code == 0, ended.log
    transcript = json.loads(written_objects(server, prefix)["long.json"])
    assert word_error_rate(spoken_text([first, last]), transcript["text"]) <= 0.15
    starts = [segment["start"] for segment in transcript["segments"]]
    assert starts == pytest.approx([first.start, last.start], abs=0.7)
    asked = first.end - first.start + 0.4 + 60 - last.start + 0.2
    assert ended.report.audio_seconds == pytest.approx(asked, abs=0.01)


@pytest.fixture
def beeps(server: S3Server, tmp_path: Path) -> str:
    """Upload a tone, three times a second, in which the test model hears numbers, and return its key."""
    at = np.arange(40 * SAMPLE_RATE) / SAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * 440 * at) * (np.sin(2 * np.pi * 3 * at) > 0)
    return upload(server, tmp_path / "beeps.wav", tone.astype(np.float32))


# The thresholds that would skip the window are off.
BEEPS = {"noSpeechThreshold": 1, "logprobThreshold": -1000}


def test_text_that_looks_wrong_is_written_and_fails_where_the_policy_says_so(
    container: WorkerContainer, server: S3Server, beeps: str, prefix: str
) -> None:
    spec = container.spec(beeps, prefix, quality={"policy": "fail"}, decoding=QUICK | BEEPS, language="en")
    ended = container.run(spec)
    assert ended.code == exit_codes.TEXT_REFUSED, ended.log
    report, written = ended.report, written_objects(server, prefix)
    assert (report.reason, report.quality is not None and report.quality.verdict) == ("QualityRejected", "bad")
    assert "spec.quality.policy: got fail with the verdict bad: textOverSilence " in (report.message or "")
    assert set(written) == {"beeps.json", "beeps.txt", "beeps.report.json"}
    sizes = {fmt: len(written[f"beeps.{fmt}"]) for fmt in ("json", "txt")}
    assert {item.format.value: item.size for item in report.objects} == sizes
    segments = json.loads(written["beeps.json"])["segments"]
    assert any("text-over-silence" in segment.get("flags", []) for segment in segments)
    # The same task again is refused without being transcribed again.
    again = container.run(spec)
    assert (again.code, again.report.reason, again.report.reused) == (exit_codes.TEXT_REFUSED, "QualityRejected", True)
    assert "stage transcribe" not in again.log


def test_windows_that_are_decoded_again_are_counted(container: WorkerContainer, beeps: str, prefix: str) -> None:
    decoding = BEEPS | {"temperatures": [0, 0.4], "beamSize": 1, "bestOf": 1}
    ended = container.run(container.spec(beeps, prefix, quality={"policy": "retry"}, decoding=decoding, language="en"))
    assert ended.code == 0, ended.log
    assert ended.report.quality is not None
    assert ended.report.quality.retried_windows >= 1


def test_a_language_that_nobody_is_sure_of_fails_and_writes_nothing(
    container: WorkerContainer, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    noise = np.random.default_rng(3).normal(0, 0.05, 10 * SAMPLE_RATE).astype(np.float32)
    key = upload(server, tmp_path / "noise.wav", noise)
    asked = {"minProbability": 0.9999, "below": "fail"}
    for engine in ("batched", "openai-whisper"):
        ended = container.run(container.spec(key, prefix, engine=engine, languageDetection=asked, decoding=QUICK))
        assert (ended.code, ended.report.reason) == (exit_codes.TEXT_REFUSED, "LanguageUncertain"), ended.log
        assert "spec.languageDetection.minProbability" in (ended.report.message or "")
    assert written_objects(server, prefix) == {}


def test_the_candidates_decide_between_languages_for_either_engine(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    for engine in ("batched", "openai-whisper"):
        asked = {"candidates": ["pt"]}
        spec = container.spec(SPEECH_KEY, f"{prefix}{engine}/", engine=engine, languageDetection=asked, decoding=QUICK)
        ended = container.run(spec)
        assert ended.code == 0, ended.log
        assert (ended.report.language, ended.report.language_probability) == ("pt", 1.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"decoding": {"longForm": "chunked"}}, "spec.decoding.longForm: got chunked with engine openai-whisper"),
        ({"decoding": {"precision": "bfloat16"}}, "spec.decoding.precision: got bfloat16 with engine openai-whisper"),
        ({"quality": {"policy": "retry"}}, "spec.quality.policy: got retry with engine openai-whisper"),
        ({"languageDetection": {"windows": 5}}, "spec.languageDetection.windows: got 5 with engine openai-whisper"),
        (
            {"engine": "batched", "decoding": {"precision": "float16"}},
            "spec.decoding.precision: got 'float16' on a CPU",
        ),
    ],
)
def test_what_an_engine_cannot_do_is_named_before_the_audio_is_read(
    container: WorkerContainer, speech: Path, prefix: str, fields: dict[str, Any], message: str
) -> None:
    ended = container.run(container.spec(SPEECH_KEY, prefix, **{"engine": "openai-whisper"} | fields))
    assert (ended.code, ended.report.reason) == (exit_codes.TASK_INVALID, "EngineUnsuitable"), ended.log
    assert message in (ended.report.message or "")
    assert "stage decode" not in ended.log
