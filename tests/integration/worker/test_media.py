"""The whole worker gives the right text for media of every kind, or a named failure."""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from transcription_api import names
from transcription_api.reasons import BY_NAME

from tests.support.media import canary, convert, cut, make
from tests.support.s3 import S3Server
from tests.support.speech import speak, write_wav
from tests.support.transcript_score import spoken_text, word_error_rate
from tests.support.worker_container import DESTINATION, SOURCE, WorkerContainer

WER_MAX = 0.05
SECONDS = 40
GREEDY = {"temperatures": [0], "beamSize": 1}


@dataclass(frozen=True)
class Spoken:
    """A recording and what is said in it."""

    path: Path
    text: str


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    path = tmp_path_factory.mktemp("spoken") / "en.wav"
    samples, utterances = speak("en", 701, SECONDS)
    write_wav(path, samples)
    return Spoken(path, spoken_text(utterances))


def as_video(spoken: Path, path: Path) -> Path:
    """Write stereo AAC beside a picture, in an MP4 whose index comes last."""
    picture = ["-f", "lavfi", "-i", f"testsrc=size=64x64:rate=5:duration={SECONDS}"]
    return convert(spoken, path, *picture, "-ac", "2", "-ar", "44100")


def as_lying_mp3(spoken: Path, path: Path) -> Path:
    """Write an mp3 of variable bit rate with a cover, and a header that announces ten times the frames."""
    plain = convert(spoken, path.with_name("plain.mp3"), "-q:a", "2")
    cover = make(path.with_name("cover.png"), "-frames:v", "1", audio=False, video=True)
    convert(plain, path, "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy")
    content = bytearray(path.read_bytes())
    at = content.index(b"Xing") + 8
    struct.pack_into(">I", content, at, 10 * struct.unpack_from(">I", content, at)[0])
    path.write_bytes(content)
    return path


def as_many_channels(spoken: Path, path: Path) -> Path:
    """Write the same sound in 8 channels at 192 kHz."""
    return convert(spoken, path, "-af", "pan=7.1|" + "|".join(f"c{n}=c0" for n in range(8)), "-ar", "192000")


def as_opus_named_wav(spoken: Path, path: Path) -> Path:
    return convert(spoken, path, "-acodec", "libopus", "-b:a", "48k", "-f", "ogg")


GOOD: dict[str, Callable[[Path, Path], Path]] = {
    "video.mp4": as_video,
    "lying.mp3": as_lying_mp3,
    "many.wav": as_many_channels,
    "opus.wav": as_opus_named_wav,
}


def upload(server: S3Server, path: Path) -> str:
    key = f"media/{path.name}"
    server.client().upload_file(str(path), SOURCE, key)
    return key


@pytest.mark.parametrize("name", GOOD)
def test_speech_is_recognised_from_any_container(
    container: WorkerContainer, server: S3Server, spoken: Spoken, tmp_path: Path, prefix: str, name: str
) -> None:
    key = upload(server, GOOD[name](spoken.path, tmp_path / name))
    ended = container.run(container.spec(key, prefix, formats=["txt"], decoding=GREEDY))
    assert ended.code == 0, ended.log
    assert ended.report.audio_seconds == pytest.approx(SECONDS, abs=0.2)
    assert word_error_rate(spoken.text, written(server, f"{prefix}{Path(name).stem}.txt")) <= WER_MAX


def written(server: S3Server, key: str) -> str:
    return str(server.client().get_object(Bucket=DESTINATION, Key=key)["Body"].read().decode())


def test_one_channel_of_two_speakers_is_that_speakers_text(
    container: WorkerContainer, server: S3Server, spoken: Spoken, tmp_path: Path, prefix: str
) -> None:
    samples, utterances = speak("pt", 702, SECONDS)
    other = tmp_path / "pt.wav"
    write_wav(other, samples)
    options = ["-i", str(other), "-filter_complex", "[0:a][1:a]join=inputs=2:channel_layout=stereo"]
    key = upload(server, convert(spoken.path, tmp_path / "call.m4a", *options))
    ended = container.run(container.spec(key, prefix, audio={"channel": "right"}, decoding=GREEDY))
    assert ended.code == 0, ended.log
    result = json.loads(written(server, f"{prefix}call.json"))
    assert result["language"] == "pt"
    assert word_error_rate(spoken_text(utterances), result["text"]) <= WER_MAX


def test_a_file_with_less_than_its_header_announces_is_complete_with_a_warning(
    container: WorkerContainer, server: S3Server, spoken: Spoken, tmp_path: Path, prefix: str
) -> None:
    short = convert(spoken.path, tmp_path / "whole.flac", "-t", "8")
    key = upload(server, cut(short, tmp_path / "cut.flac", 0.6))
    ended = container.run(container.spec(key, prefix, formats=["json", "srt"], decoding=GREEDY))
    assert ended.code == 0, ended.log
    warnings = ended.report.warnings or ()
    assert "the header announces" in warnings[0]
    assert warnings[0] in ended.log
    assert json.loads(written(server, f"{prefix}cut.report.json"))["report"]["warnings"] == list(warnings)
    seconds = ended.report.audio_seconds or 0.0
    assert 4 < seconds < 6
    assert all(one["end"] <= seconds for one in json.loads(written(server, f"{prefix}cut.json"))["segments"])


def playlist(path: Path, url: str) -> Path:
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.3,\n{url}\n#EXT-X-ENDLIST\n")
    return path


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("cut.flac", "MediaTruncated", "the header announces"),
        ("cut.mp4", "MediaTruncated", "moov"),
        ("text.mp3", "UnsupportedMedia", "cannot decode the source"),
        ("silent.mp4", "NoAudioStream", "video"),
        ("list.mp3", "UnsupportedMedia", "cannot decode the source"),
        ("mono.wav", "UnsupportedMedia", "spec.audio.channel: right"),
    ],
)
def test_what_cannot_be_transcribed_fails_by_name_and_writes_nothing(
    container: WorkerContainer,
    server: S3Server,
    spoken: Spoken,
    tmp_path: Path,
    prefix: str,
    name: str,
    reason: str,
    words: str,
) -> None:
    path = tmp_path / name
    with canary(spoken.path.read_bytes()) as (address, asked):
        if path.stem == "cut":
            cut(convert(spoken.path, tmp_path / f"whole{path.suffix}"), path, 0.7)
        elif name == "text.mp3":
            path.write_text("These are minutes of a meeting, not a recording of it.\n" * 40)
        elif name == "silent.mp4":
            make(path, video=True, audio=False)
        elif name == "list.mp3":
            playlist(path, f"{address}/inner.wav")
        else:
            convert(spoken.path, path)
        audio = {"mono.wav": {"channel": "right"}, "cut.flac": {"truncated": "Fail"}}.get(name, {})
        ended = container.run(container.spec(upload(server, path), prefix, audio=audio))
    assert ended.report.reason == reason, ended.log
    assert ended.code == BY_NAME[reason].exit_code
    assert words in (ended.report.message or "")
    assert "Traceback" not in ended.log
    assert asked == []
    assert "Contents" not in server.client().list_objects_v2(Bucket=DESTINATION, Prefix=prefix)
    assert not list(container.at(names.SCRATCH_DIR).rglob("samples-*"))
