"""Media that cannot be transcribed is refused by name, and no file makes ffmpeg open anything but itself."""

import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from transcription_api import reasons
from transcription_api.reasons import Reason
from transcription_api.spec import AudioSelection, Channel, Truncated
from transcription_worker.errors import WorkerError
from transcription_worker.media.audio import open_audio, open_media

from tests.support.media import SAMPLE_RATE, canary, cut, make, noise, write_channels, write_long


def refusal(
    path: Path, scratch: Path, channel: Channel = Channel.MIX, truncated: Truncated | None = None
) -> tuple[Reason, str]:
    """Return the reason and the message, after checking that it does not contain the path."""
    with pytest.raises(WorkerError) as caught:
        open_media(path, scratch, AudioSelection(channel, truncated=truncated))
    assert str(path.parent) not in caught.value.message
    return caught.value.reason, caught.value.message


# --- what is no audio


@pytest.mark.parametrize("channel", list(Channel))
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.wav", b"These are minutes of a meeting, not a recording of it.\n" * 40),
        ("text.mp3", b"These are minutes of a meeting, not a recording of it.\n" * 40),
        ("header.wav", b"RIFF\x00\x00\x00\x00WAVE"),
        ("half a header.wav", b"RIFF\x00\x00\x00\x00WAVEfmt \x10\x00"),
        ("page.mp3", b"<html><body>404</body></html>"),
        ("noise.m4a", bytes(range(256)) * 64),
        ("zeros.mp3", bytes(100_000)),
        ("one", b"\xff"),
    ],
)
def test_what_is_no_audio_is_unsupported_media(
    tmp_path: Path, scratch: Path, name: str, content: bytes, channel: Channel
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    reason, message = refusal(path, scratch, channel)
    assert reason is reasons.UNSUPPORTED_MEDIA
    assert message.startswith("cannot decode the source: ")


@pytest.mark.parametrize("channel", list(Channel))
def test_a_file_of_zero_bytes_is_called_so(tmp_path: Path, scratch: Path, channel: Channel) -> None:
    (tmp_path / "a.mp3").touch()
    assert refusal(tmp_path / "a.mp3", scratch, channel) == (
        reasons.UNSUPPORTED_MEDIA,
        "cannot decode the source: the file has 0 bytes",
    )


def test_a_header_without_samples_is_unsupported_media(tmp_path: Path, scratch: Path) -> None:
    path = make(tmp_path / "a.wav", "-t", "0", "-ar", "44100")
    assert refusal(path, scratch) == (reasons.UNSUPPORTED_MEDIA, "the audio stream holds no samples")


@pytest.mark.parametrize("channel", list(Channel))
def test_a_video_without_sound_has_no_audio_stream(tmp_path: Path, scratch: Path, channel: Channel) -> None:
    path = make(tmp_path / "a.mp4", video=True, audio=False)
    assert refusal(path, scratch, channel) == (
        reasons.NO_AUDIO_STREAM,
        "the file's streams: video; expected audio",
    )


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "nothing"])
def test_what_is_no_regular_file_is_never_waited_for(tmp_path: Path, scratch: Path, kind: str) -> None:
    paths = {"folder": tmp_path, "pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "nothing": tmp_path / "none"}
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    with pytest.raises(WorkerError, match="it is no regular file") as caught:
        open_audio(paths[kind], scratch)
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA


# --- channels that are not there


def test_the_right_channel_of_a_mono_file_is_refused(tmp_path: Path, scratch: Path) -> None:
    path = make(tmp_path / "a.wav", "-ac", "1")
    assert refusal(path, scratch, Channel.RIGHT) == (
        reasons.UNSUPPORTED_MEDIA,
        "spec.audio.channel: right: the audio has 1 channel, expected at least 2",
    )


def test_more_channels_than_can_be_split_are_refused(tmp_path: Path, scratch: Path) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(seed, 0.5) for seed in range(17)])
    assert refusal(path, scratch, Channel.SPLIT) == (
        reasons.UNSUPPORTED_MEDIA,
        "spec.audio.channel: split: the audio has 17 channels, expected at most 16",
    )


# --- what ends too early

CUT = [
    ("a.wav", ["-ac", "2"]),
    ("plain.wav", ["-ac", "1", "-ar", "16000"]),
    ("phone.wav", ["-acodec", "pcm_mulaw", "-ar", "8000"]),
    ("a.rf64.wav", ["-rf64", "always"]),
    ("a.flac", []),
    ("a.aiff", []),
    ("a.au", []),
    ("a.wv", []),
    ("a.mp4", []),
    ("a.m4a", ["-movflags", "+faststart"]),
    ("a.mov", ["-movflags", "+faststart"]),
    ("vbr.mp3", ["-q:a", "5"]),
    ("cbr.mp3", ["-b:a", "64k"]),
    ("a.mkv", []),
    ("a.webm", ["-acodec", "libopus"]),
]


BREAKS_OFF = ("a.mp4", "a.m4a", "a.mov", "a.mkv", "a.webm")  # in the middle of a box or an element


@pytest.mark.parametrize("share", [0.9, 0.5])
@pytest.mark.parametrize(("name", "options"), CUT)
def test_with_truncated_fail_a_file_that_lacks_what_its_header_announces_is_refused(
    tmp_path: Path, scratch: Path, name: str, options: list[str], share: float
) -> None:
    whole = make(tmp_path / name, *options, seconds=10)
    open_media(whole, scratch, AudioSelection(truncated=Truncated.FAIL)).channels[0].close()
    reason, message = refusal(cut(whole, tmp_path / f"cut {name}", share), scratch, truncated=Truncated.FAIL)
    assert reason is reasons.MEDIA_TRUNCATED
    assert "announces" in message or "index" in message


@pytest.mark.parametrize(("name", "options"), [row for row in CUT if row[0] in BREAKS_OFF])
def test_a_file_that_breaks_off_is_truncated(tmp_path: Path, scratch: Path, name: str, options: list[str]) -> None:
    whole = make(tmp_path / name, *options, seconds=10)
    assert refusal(cut(whole, tmp_path / f"cut {name}", 0.8), scratch)[0] is reasons.MEDIA_TRUNCATED


@pytest.mark.parametrize(("name", "options"), [row for row in CUT if row[0] not in BREAKS_OFF])
def test_a_file_whose_header_alone_tells_of_more_is_read_with_a_warning(
    tmp_path: Path, scratch: Path, name: str, options: list[str]
) -> None:
    whole = make(tmp_path / name, *options, seconds=10)
    media = open_media(cut(whole, tmp_path / f"cut {name}", 0.5), scratch, AudioSelection())
    with closing(media.channels[0]) as pcm:
        assert 4 * SAMPLE_RATE < pcm.count < 6 * SAMPLE_RATE
    assert "the header announces" in media.warnings[0]


def test_with_truncated_accept_what_is_left_of_a_file_that_breaks_off_is_read(tmp_path: Path, scratch: Path) -> None:
    whole = make(tmp_path / "a.mp4", "-movflags", "+faststart", seconds=10)
    media = open_media(cut(whole, tmp_path / "b.mp4", 0.5), scratch, AudioSelection(truncated=Truncated.ACCEPT))
    with closing(media.channels[0]) as pcm:
        assert 3 * SAMPLE_RATE < pcm.count < 6 * SAMPLE_RATE
    assert "the header announces" in media.warnings[0]


def test_a_truncated_video_is_told_by_its_sound(tmp_path: Path, scratch: Path) -> None:
    whole = make(tmp_path / "a.mp4", "-movflags", "+faststart", video=True, seconds=20)
    assert refusal(cut(whole, tmp_path / "b.mp4", 0.6), scratch)[0] is reasons.MEDIA_TRUNCATED


@pytest.mark.parametrize("channel", [Channel.LEFT, Channel.SPLIT])
def test_a_truncated_channel_is_truncated_media(tmp_path: Path, scratch: Path, channel: Channel) -> None:
    whole = write_channels(tmp_path / "a.wav", [noise(1, 4), noise(2, 4)])
    assert refusal(cut(whole, tmp_path / "b.wav", 0.5), scratch, channel, Truncated.FAIL) == (
        reasons.MEDIA_TRUNCATED,
        "2.0 s of audio could be decoded, the header announces 2.0 s more",
    )


def test_a_header_with_hardly_a_sample_is_truncated_media(tmp_path: Path, scratch: Path) -> None:
    whole = make(tmp_path / "a.wav", seconds=10)
    (tmp_path / "b.wav").write_bytes(whole.read_bytes()[:90])
    assert refusal(tmp_path / "b.wav", scratch)[0] is reasons.MEDIA_TRUNCATED


@pytest.mark.parametrize(("name", "options"), CUT)
def test_a_few_bytes_more_or_less_at_the_end_make_no_difference(
    tmp_path: Path, scratch: Path, name: str, options: list[str]
) -> None:
    whole = make(tmp_path / name, *options, seconds=10)
    trailed = tmp_path / f"trailed {name}"
    trailed.write_bytes(whole.read_bytes() + b"TAG" + bytes(125))
    open_audio(trailed, scratch).close()
    if name not in ("a.mp4",):  # whose index is at its end
        clipped = tmp_path / f"clipped {name}"
        clipped.write_bytes(whole.read_bytes()[:-40])
        open_audio(clipped, scratch).close()


@pytest.mark.parametrize(("name", "options"), [("a.ogg", []), ("a.opus", []), ("a.aac", ["-f", "adts"]), ("a.ts", [])])
def test_formats_that_announce_nothing_are_read_as_far_as_they_go(
    tmp_path: Path, scratch: Path, name: str, options: list[str]
) -> None:
    whole = make(tmp_path / name, *options, seconds=10)
    pcm = open_audio(cut(whole, tmp_path / f"cut-{name}", 0.5), scratch)
    assert 3 * SAMPLE_RATE < pcm.count < 7 * SAMPLE_RATE
    pcm.close()


# --- what is too long


def test_samples_of_more_than_a_day_are_refused_unread(tmp_path: Path, scratch: Path) -> None:
    seconds = 24 * 3600 + 60
    path = write_channels(tmp_path / "a.wav", [noise(1, 1)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, seconds * SAMPLE_RATE * 2)
    with path.open("wb") as file:
        file.write(content)
        file.truncate(44 + seconds * SAMPLE_RATE * 2)
    assert refusal(path, scratch) == (
        reasons.AUDIO_TOO_LONG,
        "more than 24 hours of audio, expected at most 24",
    )


@pytest.mark.parametrize("channel", [Channel.MIX, Channel.SPLIT])
def test_ffmpeg_is_ended_where_the_longest_audio_ends(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, channel: Channel
) -> None:
    monkeypatch.setattr("transcription_worker.media.ffmpeg.LONGEST_SECONDS", 1800)
    open_audio(write_long(tmp_path / "half an hour.au", 1800), scratch).close()
    path = write_long(tmp_path / "more.au", 1801)
    assert refusal(path, scratch, channel) == (
        reasons.AUDIO_TOO_LONG,
        "more than 0.5 hours of audio, expected at most 0.5",
    )


# --- what reaches elsewhere

ELSEWHERE = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.3,\n{url}\n#EXT-X-ENDLIST\n",
    "list.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.3,\n{url}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {url}\n",
    "list.wav": "ffconcat version 1.0\nfile {url}\n",
    "stream.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    "list.mpd": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S">'
        '<Period><AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1">'
        "<BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "picture.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="{url}"/></svg>',
    "pattern%03d.png": "{url}",
    "redirect.asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "redirect.rtsp": "RTSPtext\n{url}\n",
}


@pytest.fixture
def reached(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a valid WAVE file on the loopback network; yield its address and the paths that were requested."""
    with canary(make(tmp_path / "canary.wav").read_bytes()) as (address, asked):
        yield f"{address}/canary.wav", asked


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_file_makes_ffmpeg_ask_the_network(
    tmp_path: Path, scratch: Path, reached: tuple[str, list[str]], name: str
) -> None:
    url, asked = reached
    path = tmp_path / name
    path.write_text(ELSEWHERE[name].format(url=url))
    for channel in Channel:
        assert refusal(path, scratch, channel)[0] is reasons.UNSUPPORTED_MEDIA
    assert asked == []


def test_a_list_of_files_is_told_from_a_damaged_file(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "list.wav"
    path.write_text(ELSEWHERE["list.wav"].format(url="inner.wav"))
    words = "the format concat is not one of those that hold their own audio and are read"
    assert refusal(path, scratch)[1] == f"cannot decode the source: {words}"


def test_without_the_limits_a_playlist_would_reach_it(tmp_path: Path, reached: tuple[str, list[str]]) -> None:
    url, asked = reached
    path = tmp_path / "list.ffconcat"
    path.write_text(ELSEWHERE["list.ffconcat"].format(url=url))
    options = ["-protocol_whitelist", "file,http,tcp", "-safe", "0"]
    subprocess.run(["ffmpeg", "-v", "error", *options, "-i", path, "-f", "null", "-"], check=True)
    assert asked


@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat"])
def test_no_file_makes_ffmpeg_open_another_file(tmp_path: Path, scratch: Path, name: str) -> None:
    inner = make(tmp_path / "inner.wav")
    path = tmp_path / name
    for place in (f"file://{inner}", f"file:{inner}", inner.name):
        path.write_text(ELSEWHERE[name].format(url=place))
        assert refusal(path, scratch)[0] is reasons.UNSUPPORTED_MEDIA


@pytest.mark.parametrize("codec", ["aac", "libopus"])
def test_encrypted_sound_is_refused_by_that_name(tmp_path: Path, scratch: Path, codec: str) -> None:
    """ffmpeg decodes encrypted opus to noise, in which a model finds words."""
    keys = [
        "-encryption_key",
        "76a6c65c5ea762046bd749a2e632ccbb",
        "-encryption_kid",
        "a7e61c373e219033c21091fa607bf3b8",
    ]
    options = ["-c:a", codec, "-strict", "-2", "-encryption_scheme", "cenc-aes-ctr", *keys]
    path = make(tmp_path / "a.mp4", *options, seconds=3)
    with pytest.raises(WorkerError, match="the sound is encrypted, expected a file without protection") as caught:
        open_audio(path, scratch)
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA
