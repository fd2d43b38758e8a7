"""ffmpeg under limits gives openai-whisper's own samples, and names what it refuses."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import whisper.audio
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_worker.decode import LONGEST_SECONDS, SAMPLE_RATE, decode_audio
from transcription_worker.errors import WorkerError


def make(path: Path, *output: str, video: bool = False, audio: bool = True) -> Path:
    """A tone of 1.3 s, as ffmpeg's output options say."""
    command = ["ffmpeg", "-v", "error", "-y"]
    if audio:
        command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration=1.3"]
    if video:
        command += ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=5:duration=1.3"]
    subprocess.run([*command, *output, path], check=True)
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pcm.wav", ["-ac", "2"]),
        ("many.wav", ["-ac", "8", "-ar", "192000"]),
        ("phone.wav", ["-acodec", "pcm_mulaw", "-ar", "8000"]),
        ("a.flac", []),
        ("a.mp3", ["-q:a", "5"]),
        ("a.m4a", []),
        ("a.ogg", ["-acodec", "libopus"]),
        ("a.aiff", []),
        ("wrong.wav", ["-f", "mp3"]),
    ],
)
def test_good_files_give_whispers_own_samples(tmp_path: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *options)
    samples = decode_audio(path)
    np.testing.assert_array_equal(samples, whisper.audio.load_audio(str(path)))
    assert samples.dtype == np.float32
    assert abs(samples.size / SAMPLE_RATE - 1.3) < 0.1


def test_a_video_with_sound_gives_its_sound(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", video=True)
    np.testing.assert_array_equal(decode_audio(path), whisper.audio.load_audio(str(path)))


def test_a_video_without_sound_has_no_audio_stream(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", video=True, audio=False)
    with pytest.raises(WorkerError) as caught:
        decode_audio(path)
    assert caught.value.reason is reasons.NO_AUDIO_STREAM
    assert caught.value.message == "the file's streams: video; expected audio"


def refusal(path: Path) -> tuple[Reason, str]:
    with pytest.raises(WorkerError) as caught:
        decode_audio(path)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.wav", b""),
        ("text.wav", b"These are minutes of a meeting, not a recording of it.\n" * 40),
        ("header.wav", b"RIFF\x00\x00\x00\x00WAVE"),
        ("page.mp3", b"<html><body>404</body></html>"),
        ("noise.m4a", bytes(range(256)) * 64),
    ],
)
def test_what_is_no_audio_is_unsupported_media(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    reason, message = refusal(path)
    assert reason is reasons.UNSUPPORTED_MEDIA
    assert str(tmp_path) not in message


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat", "sdp", "mpd"])
def test_a_playlist_makes_ffmpeg_open_nothing_else(tmp_path: Path, kind: str) -> None:
    inner = make(tmp_path / "inner.wav")
    texts = {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.3,\nfile://{inner}\n#EXT-X-ENDLIST\n",
        "ffconcat": f"ffconcat version 1.0\nfile {inner}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
        "mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>',
    }
    path = tmp_path / f"list.{kind}"
    path.write_text(texts[kind])
    assert refusal(path)[0] is reasons.UNSUPPORTED_MEDIA


def test_a_recording_without_end_is_cut_off_by_a_named_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_SECONDS == 86_400
    monkeypatch.setattr("transcription_worker.decode.LONGEST_SECONDS", 1)
    reason, message = refusal(make(tmp_path / "a.wav"))
    assert reason is reasons.UNSUPPORTED_MEDIA
    assert "hours of audio" in message


def test_a_decoder_that_needs_more_memory_than_allowed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transcription_worker.decode.MEMORY_LIMIT", 1 << 20)
    assert refusal(make(tmp_path / "a.wav"))[0] is reasons.UNSUPPORTED_MEDIA
