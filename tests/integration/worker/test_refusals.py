"""Every failure has its reason and exit code, costs no GPU time and leaves nothing half-written."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from transcription_api import exit_codes, names
from transcription_api.reasons import BY_NAME

from tests.support.s3 import S3Server, free_port
from tests.support.worker_container import DESTINATION, SOURCE, SPEECH_KEY, Ended, WorkerContainer


def assert_refused(ended: Ended, reason: str, *words: str) -> None:
    assert ended.report.reason == reason, ended.log
    assert ended.code == BY_NAME[reason].exit_code
    for word in words:
        assert word in (ended.report.message or "")
    assert "Traceback" not in ended.log


def put(server: S3Server, key: str, body: bytes) -> str:
    server.client().put_object(Bucket=SOURCE, Key=key, Body=body)
    return key


def written(server: S3Server, prefix: str) -> list[str]:
    listed = server.client().list_objects_v2(Bucket=DESTINATION, Prefix=prefix)
    return [item["Key"] for item in listed.get("Contents", [])]


def test_require_gpu_without_a_gpu_is_refused_by_name_before_any_request(
    container: WorkerContainer, server: S3Server, prefix: str
) -> None:
    before = len(server.requests())
    ended = container.run(container.spec(SPEECH_KEY, prefix, device={"policy": "RequireGPU"}))
    assert_refused(ended, "GPUDriverMissing", "libcuda.so.1")
    assert len(server.requests()) == before


def test_prefer_gpu_without_a_gpu_says_why_the_cpu_ran(container: WorkerContainer, speech: Path, prefix: str) -> None:
    decoding = {"temperatures": [0], "beamSize": 1}
    ended = container.run(container.spec(SPEECH_KEY, prefix, device={"policy": "PreferGPU"}, decoding=decoding))
    assert ended.code == 0, ended.log
    device = ended.report.device
    assert device is not None
    assert (device.kind, device.fallback_reason) == ("cpu", "GPUDriverMissing")
    assert "libcuda.so.1" in (device.fallback_message or "")


def test_a_missing_key_is_named(container: WorkerContainer, prefix: str) -> None:
    assert_refused(container.run(container.spec("no/such.wav", prefix)), "NoSuchKey", "'no/such.wav'", "'audio'")


def test_a_field_of_a_newer_version_is_told_in_the_log_and_stops_nothing(
    container: WorkerContainer, prefix: str
) -> None:
    newer = container.spec("no/such.wav", prefix, speakers={"max": 2}, decoding={"draftModel": "tiny"})
    ended = container.run(newer)
    assert_refused(ended, "NoSuchKey", "'no/such.wav'")
    assert "WARNING this version does not know spec.decoding.draftModel, spec.speakers" in ended.log


def test_a_missing_bucket_is_named(container: WorkerContainer, prefix: str) -> None:
    spec = container.spec(SPEECH_KEY, prefix)
    spec["source"]["s3"]["bucket"] = "nowhere"
    assert_refused(container.run(spec), "NoSuchBucket", "'nowhere'")


def test_a_missing_destination_is_found_before_the_audio_is_read(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    spec = container.spec(SPEECH_KEY, prefix)
    spec["destination"]["s3"]["bucket"] = "nowhere"
    ended = container.run(spec)
    assert_refused(ended, "NoSuchBucket", "spec.destination.s3", "'nowhere'")
    assert "stage decode" not in ended.log


@pytest.mark.parametrize(
    ("folder", "field"),
    [(names.SOURCE_CREDENTIALS_DIR, "spec.source.s3"), (names.DESTINATION_CREDENTIALS_DIR, "spec.destination.s3")],
)
def test_a_wrong_secret_key_is_bad_credentials(
    container: WorkerContainer, speech: Path, prefix: str, folder: str, field: str
) -> None:
    container.mount_secret(folder, "tester", "not-the-key")
    assert_refused(container.run(container.spec(SPEECH_KEY, prefix)), "BadCredentials", field, "SignatureDoesNotMatch")


def test_an_unknown_access_key_is_bad_credentials(container: WorkerContainer, prefix: str) -> None:
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, "nobody", "key")
    assert_refused(container.run(container.spec(SPEECH_KEY, prefix)), "BadCredentials", "InvalidAccessKeyId")


def test_a_destination_that_forbids_writing_is_denied_before_the_audio_is_read(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    container.mount_secret(names.DESTINATION_CREDENTIALS_DIR, *server.stranger())
    ended = container.run(container.spec(SPEECH_KEY, prefix))
    assert_refused(ended, "DestinationDenied", "spec.destination.s3")
    assert "stage decode" not in ended.log


def test_a_source_that_forbids_reading_is_access_denied(
    container: WorkerContainer, server: S3Server, speech: Path, prefix: str
) -> None:
    container.mount_secret(names.SOURCE_CREDENTIALS_DIR, *server.stranger())
    assert_refused(container.run(container.spec(SPEECH_KEY, prefix)), "AccessDenied", "spec.source.s3")


def test_a_secret_without_its_key_is_named(container: WorkerContainer, prefix: str) -> None:
    (container.at(names.SOURCE_CREDENTIALS_DIR) / names.SECRET_SECRET_ACCESS_KEY).unlink()
    assert_refused(container.run(container.spec(SPEECH_KEY, prefix)), "BadCredentials", "AWS_SECRET_ACCESS_KEY")


def test_an_endpoint_that_is_down_is_tried_again_and_then_unreachable(container: WorkerContainer, prefix: str) -> None:
    spec = container.spec(SPEECH_KEY, prefix)
    spec["source"]["s3"]["endpointURL"] = f"http://127.0.0.1:{free_port()}"
    ended = container.run(spec)
    assert_refused(ended, "EndpointUnreachable", "EndpointConnectionError")
    assert ended.log.count("next try in") >= 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "UnsupportedMedia"),
        (b"Minutes of a meeting, and no recording of it.\n" * 40, "UnsupportedMedia"),
    ],
)
def test_what_is_no_audio_is_unsupported_media(
    container: WorkerContainer, server: S3Server, prefix: str, body: bytes, reason: str
) -> None:
    ended = container.run(container.spec(put(server, "minutes.wav", body), prefix))
    assert_refused(ended, reason)
    assert "stage model" not in ended.log
    assert written(server, prefix) == []


def test_a_video_without_sound_has_no_audio_stream(
    container: WorkerContainer, server: S3Server, prefix: str, tmp_path: Path
) -> None:
    video = tmp_path / "silent.mp4"
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, video], check=True)
    assert_refused(
        container.run(container.spec(put(server, "silent.mp4", video.read_bytes()), prefix)), "NoAudioStream"
    )


def volume(path: str, **fields: Any) -> dict[str, Any]:
    return {"volume": {"path": path, "persistentVolumeClaim": {"claimName": "models"}}} | fields


@pytest.mark.parametrize(
    ("model", "reason", "word"),
    [
        ({"name": "huge"}, "ModelNotFound", "got 'huge', expected one of tiny.en"),
        (volume("no/such.pt"), "ModelNotFound", "'no/such.pt'"),
        (volume("../../dev/termination-log"), "ModelNotFound", "expected a file in the volume"),
        (volume("model.pt", sha256="0" * 64), "ModelDigestMismatch", "0" * 64),
        (volume("notes.pt"), "ModelInvalid", "'notes.pt' is no Whisper checkpoint"),
    ],
)
def test_a_model_that_cannot_be_had_is_named(
    container: WorkerContainer, speech: Path, prefix: str, model: dict[str, Any], reason: str, word: str
) -> None:
    (container.at(names.MODEL_VOLUME_DIR) / "notes.pt").write_text("Notes about a model.\n" * 100)
    ended = container.run(container.spec(SPEECH_KEY, prefix, model=model))
    assert_refused(ended, reason, word)
    # A model that is not there at all is missed before the audio is fetched.
    assert ended.report.audio_seconds == (None if reason == "ModelNotFound" else 12)


def test_a_model_object_that_is_missing_is_no_missing_source(
    container: WorkerContainer, speech: Path, prefix: str
) -> None:
    model = {"s3": container.endpoint(bucket=SOURCE, key="no/model.pt")}
    assert_refused(container.run(container.spec(SPEECH_KEY, prefix, model=model)), "ModelNotFound", "'no/model.pt'")


@pytest.mark.parametrize("task", ["not json", '{"namespace": "a", "name": "b", "uid": "c", "spec": {"source": 1}}'])
def test_a_task_that_does_not_parse_is_invalid(container: WorkerContainer, task: str) -> None:
    container.env = {names.ENV_TASK: task}
    ended = container.run(container.spec("x"))
    assert_refused(ended, "InvalidTask")
    assert ended.code == exit_codes.TASK_INVALID
