"""The worker runs as a program, with a real S3 server and the real model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transcription_api import names
from transcription_api.report import QualityCounts
from transcription_api.spec import Format, parse_spec
from transcription_worker.paths import Paths
from transcription_worker.storage.bucket import Bucket
from transcription_worker.storage.roles import Role

from tests.support.result_comparison import assert_same
from tests.support.results import find_result
from tests.support.s3 import SECRET_KEY, S3Server, free_port
from tests.support.speech import speak, write_wav
from tests.support.testmodel import model_path, model_sha256
from tests.support.transcript_score import spoken_text, word_error_rate
from tests.support.whisper_command import kept_within, whisper_command
from tests.support.worker_container import (
    DESTINATION,
    SOURCE,
    SPEECH_KEY,
    SPEECH_SECONDS,
    Ended,
    WorkerContainer,
    progress_until,
    upload_model,
    written_objects,
)

ALL_FORMATS = [fmt.value for fmt in Format]


@dataclass
class Finished:
    """The outcome of a run, shared by the tests that look at it."""

    container: WorkerContainer
    spec: dict[str, Any]
    seen: dict[str, Any]  # the progress while it transcribed
    ended: Ended
    written: dict[str, bytes]


@pytest.fixture(scope="module")
def finished(server: S3Server, speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    container = WorkerContainer(tmp_path_factory.mktemp("finished") / "root", server)
    container.mount_model(model_path())
    spec = container.spec(SPEECH_KEY, "finished/", formats=ALL_FORMATS, preview={"characters": 20})
    port = free_port()
    process = container.start(spec, port)
    seen = progress_until(port, "transcribe", process)
    ended = container.finish(process, 0)
    assert ended.code == 0, ended.log
    return Finished(container, spec, seen, ended, written_objects(server, "finished/"))


def test_all_five_formats_are_what_the_whisper_command_writes(finished: Finished, speech: Path, tmp_path: Path) -> None:
    assert set(finished.written) == {f"01.{fmt}" for fmt in ALL_FORMATS} | {"01.report.json"}
    command = kept_within(whisper_command([speech], tmp_path / "command"), {"01": SPEECH_SECONDS})
    assert_same({f"01.{fmt}": finished.written[f"01.{fmt}"] for fmt in ALL_FORMATS}, command)
    _, utterances = speak("en", 501, SPEECH_SECONDS)
    assert word_error_rate(spoken_text(utterances), json.loads(command["01.json"])["text"]) <= 0.05


def test_the_report_tells_what_was_done(finished: Finished) -> None:
    transcript = json.loads(finished.written["01.json"])
    report = finished.ended.report
    assert (report.language, report.segments) == ("en", len(transcript["segments"]))
    assert report.language_probability is not None
    assert report.language_probability > 0.9
    assert report.audio_seconds == SPEECH_SECONDS
    assert report.engine is not None
    assert report.engine.startswith("batched ")
    assert (report.precision, report.long_form, report.channels) == ("float32", "sequential", None)
    assert report.quality == QualityCounts("good")
    assert report.wall_seconds is not None
    assert report.words == len(transcript["text"].split())
    assert report.preview == transcript["text"].strip()[:20]
    assert report.model is not None
    assert report.model.digest == f"sha256:{model_sha256()}"
    sizes = {fmt: len(finished.written[f"01.{fmt}"]) for fmt in ALL_FORMATS}
    assert {item.format.value: item.size for item in report.objects} == sizes
    assert not report.reused


def test_progress_is_served_while_it_transcribes(finished: Finished) -> None:
    assert finished.seen["secondsTotal"] == SPEECH_SECONDS
    assert finished.seen["device"]["kind"] == "cpu"


def test_the_same_task_again_finds_the_result_and_writes_nothing(finished: Finished, server: S3Server) -> None:
    before = len(server.requests())
    again = finished.container.run(finished.spec)
    assert again.code == 0, again.log
    assert again.report.reused
    assert again.report.objects == finished.ended.report.objects
    assert again.report.preview == finished.ended.report.preview
    assert not any("PutObject" in line for line in server.requests()[before:])


def test_a_result_is_none_for_another_task_another_source_or_a_changed_object(
    finished: Finished, server: S3Server
) -> None:
    etag = finished.ended.report.source_etag
    assert etag is not None
    spec = parse_spec(finished.spec)
    paths = Paths(finished.container.root)
    bucket = Bucket(spec.destination.s3, Role.DESTINATION, paths)
    assert find_result(bucket, spec, etag, paths) is not None
    assert find_result(bucket, spec, "another", paths) is None
    assert find_result(bucket, parse_spec(finished.spec | {"language": "pt"}), etag, paths) is None

    name = "finished/01.txt"
    server.client().put_object(Bucket=DESTINATION, Key=name, Body=b"edited")
    assert find_result(bucket, spec, etag, paths) is None
    server.client().delete_object(Bucket=DESTINATION, Key=name)
    assert find_result(bucket, spec, etag, paths) is None
    server.client().put_object(Bucket=DESTINATION, Key=name, Body=finished.written["01.txt"])
    assert find_result(bucket, spec, etag, paths) is not None


def test_the_reference_engine_writes_the_whisper_commands_very_bytes(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str, tmp_path: Path
) -> None:
    decoding = {"temperatures": [0], "beamSize": 2}
    ended = container.run(
        container.spec(SPEECH_KEY, prefix, engine="openai-whisper", decoding=decoding, formats=ALL_FORMATS)
    )
    assert ended.code == 0, ended.log
    assert ended.report.engine is not None
    assert ended.report.engine.startswith("openai-whisper ")
    options = ["--temperature", "0", "--temperature_increment_on_fallback", "None", "--beam_size", "2"]
    command = kept_within(whisper_command([speech], tmp_path / "command", *options), {"01": SPEECH_SECONDS})
    written = written_objects(server, prefix)
    assert {name: written[name] for name in command} == command


def test_timed_words_in_portuguese_are_as_the_command_has_them(
    container: WorkerContainer, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    samples, utterances = speak("pt", 502, SPEECH_SECONDS)
    audio = tmp_path / "fala.wav"
    write_wav(audio, samples)
    server.client().upload_file(str(audio), SOURCE, "fala.wav")
    decoding = {"wordTimestamps": True, "conditionOnPreviousText": False, "temperatures": [0], "beamSize": 2}
    ended = container.run(container.spec("fala.wav", prefix, language="pt", decoding=decoding, formats=["json", "srt"]))
    assert ended.code == 0, ended.log
    options = ["--language", "pt", "--word_timestamps", "True", "--condition_on_previous_text", "False"]
    options += ["--temperature", "0", "--temperature_increment_on_fallback", "None", "--beam_size", "2"]
    command = kept_within(whisper_command([audio], tmp_path / "command", *options), {"fala": SPEECH_SECONDS})
    written = written_objects(server, prefix)
    assert_same(
        {name: written[name] for name in ("fala.json", "fala.srt")},
        {name: command[name] for name in ("fala.json", "fala.srt")},
    )
    assert word_error_rate(spoken_text(utterances), json.loads(command["fala.json"])["text"]) <= 0.05
    assert ended.report.language_probability is None


def test_no_secret_prompt_or_text_reaches_log_or_report(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    prompt = "canary of the prompt"
    container.env = {names.ENV_LOG_FORMAT: "json"}
    upload_model(server)
    model = {"s3": container.endpoint(bucket="models", key="tiny/model.pt")}
    decoding = {"initialPrompt": prompt, "temperatures": [0], "beamSize": 1}
    ended = container.run(container.spec(SPEECH_KEY, prefix, decoding=decoding, model=model))
    assert ended.code == 0, ended.log
    for line in ended.log.splitlines():
        assert json.loads(line)["namespace"] == "team-a"
    shown = ended.log + container.at(names.TERMINATION_MESSAGE_PATH).read_text()
    assert SECRET_KEY not in shown
    assert prompt not in shown
    text = written_objects(server, prefix)["01.txt"].decode().splitlines()[0]
    assert text not in shown


def test_the_level_of_the_environment_hides_what_is_below_it(
    container: WorkerContainer, speech: Path, prefix: str
) -> None:
    spec = container.spec(SPEECH_KEY, prefix, decoding={"temperatures": [0], "beamSize": 1})
    told = container.run(spec)
    assert (told.code, " INFO " in told.log) == (0, True), told.log
    container.env = {names.ENV_LOG_LEVEL: "WARNING"}
    spec["destination"]["s3"]["prefix"] += "quiet/"
    quiet = container.run(spec)
    assert (quiet.code, " INFO " in quiet.log) == (0, False), quiet.log


def test_sigterm_ends_a_run_that_is_not_nearly_done_with_143_and_a_report(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    container.forked = False
    # The endpoint is gone and retries last long, so the worker is in a retry's pause.
    container.env = {"TRANSCRIPTION_OUTAGE_SECONDS": "600"}
    spec = container.spec(SPEECH_KEY, prefix)
    spec["source"]["s3"]["endpointURL"] = f"http://127.0.0.1:{free_port()}"
    port = free_port()
    process = container.start(spec, port)
    progress_until(port, "fetch", process)
    ended = container.terminate(process)
    assert ended.code == 143, ended.log
    assert ended.seconds < 10
    assert ended.report.reason == "Interrupted"
    assert ended.report.device is not None


def test_a_run_that_is_nearly_done_comes_to_its_end_after_sigterm(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    port = free_port()
    process = container.start(container.spec(SPEECH_KEY, prefix, formats=["txt"]), port)
    progress_until(port, "transcribe", process, "language")  # what is not begun is left to the next pod
    ended = container.terminate(process)
    assert (ended.code, ended.report.reason) == (0, None), ended.log
    assert ended.seconds < 30.0  # the grace period, after which it would be killed
    assert list(written_objects(server, prefix)) == ["01.report.json", "01.txt"]
