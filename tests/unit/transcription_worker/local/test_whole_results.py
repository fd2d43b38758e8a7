"""Only results that are whole count as done."""

from pathlib import Path

import pytest
from transcription_api.spec import Format
from transcription_worker.engines.formats.writers import render_format
from transcription_worker.engines.protocol import Transcript
from transcription_worker.local.files import find_files, is_done

from tests.support.local_files import plan

SEGMENT = {"id": 0, "start": 0.0, "end": 1.0, "text": " Hello."}
SPEECH = Transcript(" Hello.", [SEGMENT], "en", None, 1.0)
SILENCE = Transcript("", [], "en", None, 1.0)


def done(folder: Path, formats: str, results: dict[Format, bytes]) -> bool:
    (folder / "a.wav").touch()
    asked = plan(folder / "a.wav", "-o", folder, "-f", formats)
    [file] = getattr(find_files(asked), "files", [])
    for fmt, body in results.items():
        file.result(fmt).write_bytes(body)
    return is_done(file, asked)


def rendered(transcript: Transcript) -> dict[Format, bytes]:
    return {fmt: render_format(transcript, fmt) for fmt in Format}


@pytest.mark.parametrize("transcript", [SPEECH, SILENCE])
def test_results_as_they_are_written_are_done(tmp_path: Path, transcript: Transcript) -> None:
    assert done(tmp_path, "all", rendered(transcript))


@pytest.mark.parametrize("fmt", list(Format))
@pytest.mark.parametrize("damage", ["empty", "cut", "zeros"])
def test_a_result_that_is_empty_cut_or_zeros_is_made_again(tmp_path: Path, fmt: Format, damage: str) -> None:
    results = rendered(SPEECH)
    size = len(results[fmt])
    results[fmt] = {"empty": b"", "cut": results[fmt][: size - 3], "zeros": bytes(size)}[damage]
    assert not done(tmp_path, "all", results)


def test_text_without_bytes_is_made_again_where_nothing_tells_that_the_audio_is_silent(tmp_path: Path) -> None:
    assert not done(tmp_path, "txt", rendered(SILENCE))
    assert not done(tmp_path, "txt,srt", rendered(SILENCE))
    assert done(tmp_path, "txt,vtt", rendered(SILENCE))
    assert done(tmp_path, "srt,tsv", rendered(SILENCE))


def test_a_long_result_is_whole_by_its_beginning_and_its_end(tmp_path: Path) -> None:
    segments = [SEGMENT | {"id": number} for number in range(5000)]
    assert done(tmp_path, "all", rendered(Transcript(" Hello." * 5000, segments, "en", None, 1.0)))
