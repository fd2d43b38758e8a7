"""A manifest that cannot be read names the line and the field, before a GPU is asked for."""

import json
from pathlib import Path

import pytest
from transcription_api.spec import Clip, Format, Spec, TaskKind, parse_spec
from transcription_worker.batch import user_manifest
from transcription_worker.batch.entries import Overrides
from transcription_worker.batch.user_manifest import read_manifest
from transcription_worker.errors import WorkerError


def with_model(model: dict[str, str], **fields: str) -> Spec:
    """Return a spec with another model."""
    value = {
        "source": {"s3": {"bucket": "audio", "manifest": "list.jsonl"}},
        "destination": {"s3": {"bucket": "transcripts"}},
        "model": model,
    }
    return parse_spec(value | fields)


SPEC = with_model({"name": "medium"})


def write(folder: Path, *lines: object) -> Path:
    """Write a manifest of values, or of bytes as they are."""
    path = folder / "manifest"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def test_a_line_may_say_how_its_file_is_transcribed(tmp_path: Path) -> None:
    line = {
        "key": "a.wav",
        "bucket": "other",
        "reference": "ticket 17",
        "language": "pt",
        "task": "translate",
        "initialPrompt": "Lisboa",
        "clips": [{"start": 1.0, "end": 2.0}],
        "channel": "left",
        "formats": ["srt"],
    }
    found = list(read_manifest(write(tmp_path, line, b"", {"key": "b.wav"}), "list.jsonl", SPEC))
    assert [item.key for item in found] == ["a.wav", "b.wav"]
    assert (found[0].bucket, found[0].reference) == ("other", "ticket 17")
    overrides = found[0].overrides
    assert (overrides.language, overrides.task, overrides.formats) == ("pt", TaskKind.TRANSLATE, (Format.SRT,))
    assert overrides.clips == (Clip(1.0, 2.0),)
    assert found[1].overrides == Overrides()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "line 2: expected one JSON object"),
        (b"[1]", "line 2: got [1], expected an object"),
        (b"\xff\xfe", "line 2: expected one JSON object"),
        (b"[" * 60_000, "line 2: expected one JSON object"),
        ({"kye": "a.wav"}, "line 2.kye: got 'a.wav', expected no such field"),
        ({"bucket": "audio"}, "line 2.key: got None, expected a value: the field is required"),
        ({"key": "a.wav", "vocabulary": ["x"]}, "line 2.vocabulary: got ['x'], expected no such field"),
        ({"key": 7}, "line 2.key: got 7, expected a string"),
        ({"key": ""}, "line 2.key: got '', expected an object key without a slash at its end"),
        ({"key": "a/"}, "line 2.key: got 'a/', expected an object key without a slash at its end"),
        ({"key": "\ud800"}, "line 2.key: got '\\ud800', expected no lone surrogates"),
        ({"key": "a.wav", "bucket": "\ud800\ud800\ud800"}, "line 2.bucket: got '\\ud800"),
        ({"key": "a.wav", "bucket": "a/../b"}, "line 2.bucket: got 'a/../b', expected the name of a bucket"),
        (b'{"key": "a.wav", "key": "b.wav"}', "line 2.key: got '2 of them', expected one at the most"),
        (b'{"key": "a.wav", "clips": [{"start": NaN}]}', "line 2: expected one JSON object"),
        (b'{"key": "a.wav", "clips": [{"start": 1e999}]}', "line 2.clips[0]: got [inf, None], expected seconds from 0"),
        (b'{"key": "a.wav", "clips": [{"start": 1, "end": 90000}]}', "line 2.clips[0]: got [1.0, 90000.0]"),
        (b'{"key": "a.wav", "clips": [{"start": 1' + b"0" * 400 + b"}]}", "line 2"),
        ({"key": "a.wav", "clips": [{"start": n, "end": n + 1} for n in range(101)]}, "line 2.clips: got '101 of them"),
        (
            {"key": "a.wav", "language": "xx"},
            "line 2.language: got 'xx', expected auto, or a language's code, as in pt",
        ),
        ({"key": "a.wav", "task": "sing"}, "line 2.task: got 'sing', expected one of transcribe, translate"),
        ({"key": "a.wav", "formats": []}, "line 2.formats: got [], expected each format at most once"),
        (
            {"key": "a.wav", "clips": [{"start": 2, "end": 1}]},
            "line 2.clips[0]: got 1.0, expected an end after the start 2",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_field(tmp_path: Path, line: object, words: str) -> None:
    with pytest.raises(WorkerError) as caught:
        list(read_manifest(write(tmp_path, {"key": "good.wav"}, line), "list.jsonl", SPEC))
    assert caught.value.reason.name == "ManifestInvalid"
    assert caught.value.message.startswith(f"spec.source.s3.manifest: 'list.jsonl': {words}")


def test_a_line_without_end_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, {"key": "a" * (user_manifest.LINE_LIMIT + 100)})
    with pytest.raises(WorkerError, match="line 1: got more than 65536 bytes"):
        list(read_manifest(path, "list.jsonl", SPEC))


def test_more_files_than_a_resource_may_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_manifest, "MAX_FILES", 2)
    path = write(tmp_path, *({"key": f"{number}.wav"} for number in range(3)))
    with pytest.raises(WorkerError, match="more than 2 files") as caught:
        list(read_manifest(path, "list.jsonl", SPEC))
    assert caught.value.reason.name == "TooManyFiles"


@pytest.mark.parametrize("key", ["/a.wav", "a\u0000.wav", "a//../b\n.wav", "\u202e%2f.wav"])
def test_a_key_that_a_listing_may_have_is_good_in_the_manifest_of_the_next_run(tmp_path: Path, key: str) -> None:
    assert [line.key for line in read_manifest(write(tmp_path, {"key": key}), "failed.jsonl", SPEC)] == [key]


def test_a_manifest_as_windows_programs_write_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'\xef\xbb\xbf{"key": "a.wav"}\r', b"\r", b'{"key": "b.wav"}\r')
    assert [line.key for line in read_manifest(path, "list.jsonl", SPEC)] == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    ("spec", "line", "words"),
    [
        (with_model({}), {"task": "translate"}, "task: got 'translate', expected transcribe: the model turbo cannot"),
        (with_model({"name": "tiny.en"}), {"task": "translate"}, "task: got 'translate'"),
        (
            with_model({"name": "tiny.en"}),
            {"language": "pt"},
            "language: got 'pt', expected one that the model tiny.en",
        ),
        (
            with_model({"name": "medium"}),
            {"language": "yue"},
            "language: got 'yue', expected one that the model medium",
        ),
    ],
)
def test_a_line_that_asks_for_what_the_model_cannot_do_is_refused_as_a_resource_would_be(
    tmp_path: Path, spec: Spec, line: dict[str, str], words: str
) -> None:
    with pytest.raises(WorkerError) as caught:
        list(read_manifest(write(tmp_path, {"key": "a.wav"} | line), "list.jsonl", spec))
    assert caught.value.reason.name == "ManifestInvalid"
    assert f"line 1.{words}" in caught.value.message


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        (with_model({"name": "medium"}), {"task": "translate", "language": "pt"}),
        (with_model({"name": "tiny.en"}), {"language": "en"}),
        (with_model({"name": "medium"}, task="translate"), {"task": "transcribe"}),
        (with_model({"name": "turbo"}), {"language": "yue"}),
    ],
)
def test_a_line_that_asks_for_what_the_model_can_do_is_taken(tmp_path: Path, spec: Spec, line: dict[str, str]) -> None:
    assert len(list(read_manifest(write(tmp_path, {"key": "a.wav"} | line), "list.jsonl", spec))) == 1
