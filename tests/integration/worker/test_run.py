"""Whole runs of the worker as a program, against a real S3 server and with the real model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transcription_api import names
from transcription_api.spec import Format

from tests.integration.worker.bench import DESTINATION, THREADS, Bench, free_port, progress_until
from tests.integration.worker.conftest import SPEECH_KEY, SPEECH_SECONDS
from tests.support.s3 import SECRET_KEY, S3Server
from tests.support.speech import speak, spoken_text, word_error_rate
from tests.support.testmodel import model_path, model_sha256

ALL_FORMATS = [fmt.value for fmt in Format]


def keys(server: S3Server, prefix: str) -> dict[str, bytes]:
    """What lies in the destination, by the name after the prefix."""
    client = server.client()
    listed = client.list_objects_v2(Bucket=DESTINATION, Prefix=prefix).get("Contents", [])
    return {
        item["Key"].removeprefix(prefix): client.get_object(Bucket=DESTINATION, Key=item["Key"])["Body"].read()
        for item in listed
    }


def whisper_command(audio: Path, out: Path, *options: str) -> dict[str, bytes]:
    """The files that openai-whisper's own command writes."""
    command = [Path(sys.executable).with_name("whisper"), audio, "--model", model_path(), "--device", "cpu"]
    command += ["--output_dir", out, "--output_format", "all", "--threads", THREADS, *options]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": THREADS}, stdout=subprocess.DEVNULL)
    return {path.suffix[1:]: path.read_bytes() for path in out.iterdir()}


def test_a_run_writes_what_the_whisper_command_writes_reports_it_and_a_rerun_finds_it(
    bench: Bench, server: S3Server, speech: Path, prefix: str, tmp_path: Path
) -> None:
    spec = bench.spec(SPEECH_KEY, prefix, formats=ALL_FORMATS, preview={"characters": 20})
    port = free_port()
    process = bench.start(spec, port)
    seen = progress_until(port, "transcribe", process)
    ended = bench.finish(process, 0)
    assert ended.code == 0, ended.log
    assert seen["secondsTotal"] == SPEECH_SECONDS
    assert seen["device"]["kind"] == "cpu"

    written = keys(server, prefix)
    assert set(written) == {f"01.{fmt}" for fmt in ALL_FORMATS} | {"01.report.json"}
    command = whisper_command(speech, tmp_path / "command")
    assert {fmt: written[f"01.{fmt}"] for fmt in ALL_FORMATS} == command
    transcript = json.loads(written["01.json"])
    _, utterances = speak("en", 501, SPEECH_SECONDS)
    assert word_error_rate(spoken_text(utterances), transcript["text"]) <= 0.05

    report = ended.report
    assert (report.language, report.segments) == ("en", len(transcript["segments"]))
    assert report.language_probability is not None
    assert report.language_probability > 0.9
    assert report.audio_seconds == SPEECH_SECONDS
    assert report.words == len(transcript["text"].split())
    assert report.preview == transcript["text"].strip()[:20]
    assert report.model is not None
    assert report.model.digest == f"sha256:{model_sha256()}"
    assert {item.format.value: item.size for item in report.objects} == {fmt: len(command[fmt]) for fmt in ALL_FORMATS}
    assert not report.reused

    before = len(server.requests())
    again = bench.run(spec)
    assert again.code == 0
    assert again.report.reused
    assert again.report.objects == report.objects
    assert again.report.preview == report.preview
    assert not any("PutObject" in line for line in server.requests()[before:])


def test_words_and_a_prompt_in_portuguese_are_as_the_command_has_them(
    bench: Bench, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    from tests.integration.worker.bench import SOURCE
    from tests.support.speech import write_wav

    samples, utterances = speak("pt", 502, SPEECH_SECONDS)
    audio = tmp_path / "fala.wav"
    write_wav(audio, samples)
    server.client().upload_file(str(audio), SOURCE, "fala.wav")
    decoding = {"wordTimestamps": True, "conditionOnPreviousText": False, "temperatures": [0], "beamSize": 2}
    ended = bench.run(bench.spec("fala.wav", prefix, language="pt", decoding=decoding, formats=["json", "srt"]))
    assert ended.code == 0, ended.log
    options = ["--language", "pt", "--word_timestamps", "True", "--condition_on_previous_text", "False"]
    options += ["--temperature_increment_on_fallback", "None", "--beam_size", "2"]
    command = whisper_command(audio, tmp_path / "command", *options)
    written = keys(server, prefix)
    assert written["fala.json"] == command["json"]
    assert written["fala.srt"] == command["srt"]
    assert word_error_rate(spoken_text(utterances), json.loads(command["json"])["text"]) <= 0.05
    assert ended.report.language_probability is None


def test_a_result_with_a_changed_object_is_written_anew(
    bench: Bench, server: S3Server, speech: Path, prefix: str
) -> None:
    spec = bench.spec(SPEECH_KEY, prefix, formats=["txt"])
    first = bench.run(spec)
    assert first.code == 0, first.log
    text = keys(server, prefix)["01.txt"]
    server.client().put_object(Bucket=DESTINATION, Key=f"{prefix}01.txt", Body=b"edited")
    again = bench.run(spec)
    assert again.code == 0
    assert not again.report.reused
    assert keys(server, prefix)["01.txt"] == text


def test_a_model_from_s3_stays_in_the_cache_and_is_used_without_the_server(
    bench: Bench, server: S3Server, speech: Path, prefix: str
) -> None:
    client = server.client()
    client.create_bucket(Bucket="models")
    client.upload_file(str(model_path()), "models", "tiny/model.pt")
    model = {"s3": bench.endpoint(bucket="models", key="tiny/model.pt"), "sha256": model_sha256()}
    first = bench.run(bench.spec(SPEECH_KEY, prefix, model=model))
    assert first.code == 0, first.log
    assert first.report.model is not None
    assert first.report.model.name == "model.pt"

    client.delete_object(Bucket="models", Key="tiny/model.pt")
    again = bench.run(bench.spec(SPEECH_KEY, f"{prefix}again/", model=model))
    assert again.code == 0, again.log
    assert "is in the cache" in again.log


def test_no_secret_and_no_text_reaches_log_or_report(bench: Bench, server: S3Server, speech: Path, prefix: str) -> None:
    prompt = "canary of the prompt"
    bench.env = {"LOG_FORMAT": "json"}
    ended = bench.run(bench.spec(SPEECH_KEY, prefix, decoding={"initialPrompt": prompt}))
    assert ended.code == 0, ended.log
    for line in ended.log.splitlines():
        assert json.loads(line)["namespace"] == "team-a"
    shown = ended.log + bench.at(names.TERMINATION_MESSAGE_PATH).read_text()
    assert SECRET_KEY not in shown
    assert prompt not in shown
    text = keys(server, prefix)["01.txt"].decode().splitlines()[0]
    assert text not in shown


@pytest.mark.parametrize("stage", ["fetch", "transcribe"])
def test_sigterm_ends_the_run_with_143_and_a_report(
    bench: Bench, server: S3Server, speech: Path, prefix: str, stage: str
) -> None:
    if stage == "fetch":
        # A retry's sleep: the endpoint is gone, and patience is long.
        bench.env = {"TRANSCRIPTION_OUTAGE_SECONDS": "600"}
    spec = bench.spec(SPEECH_KEY, prefix)
    if stage == "fetch":
        spec["source"]["s3"]["endpointURL"] = f"http://127.0.0.1:{free_port()}"
    port = free_port()
    process = bench.start(spec, port)
    progress_until(port, stage, process)
    ended = bench.terminate(process)
    assert ended.code == 143, ended.log
    assert ended.seconds < 10
    assert ended.report.reason == "Interrupted"
    assert ended.report.device is not None
