"""Audio that ffmpeg would pass over without a word is transcribed, or the result says what is not."""

import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper.audio
from transcription_api import reasons
from transcription_api.spec import AudioSelection, Channel
from transcription_worker.errors import WorkerError
from transcription_worker.media import joined_files
from transcription_worker.media.audio import Media, open_media

from tests.support.media import SAMPLE_RATE, convert, make, noise, write_channels


def opened(path: Path, scratch: Path, **selection: Any) -> tuple[Any, Media]:
    """Return all samples of a file, and what is said about it."""
    media = open_media(path, scratch, AudioSelection(**selection))
    with closing(media.channels[0]) as pcm:
        return pcm.read(0, pcm.count), media


def by_whisper(path: Path) -> Any:
    return whisper.audio.load_audio(str(path))


# --- the size in a WAVE header


def announcing(path: Path, seconds: float, rate: int, copy: Path) -> Path:
    """Write a copy of a mono WAVE file whose header announces so many seconds."""
    content = bytearray(path.read_bytes())
    size = round(seconds * rate) * 2
    struct.pack_into("<I", content, content.index(b"data") + 4, size)
    struct.pack_into("<I", content, 4, size + 36)
    copy.write_bytes(content)
    return copy


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_wav_whose_size_wrapped_at_4_gib_is_read_to_its_end(tmp_path: Path, scratch: Path, rate: int) -> None:
    whole = write_channels(tmp_path / "a.wav", [noise(1, 9, rate)], rate)
    samples, media = opened(announcing(whole, 2, rate, tmp_path / "wrapped.wav"), scratch)
    np.testing.assert_array_equal(samples, by_whisper(whole))
    assert media.warnings == ("the header announces 2.0 s of audio, the file holds 9.0 s: all was taken",)


@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_whole_wav_whose_header_announces_far_more_is_read(tmp_path: Path, scratch: Path, rate: int) -> None:
    whole = write_channels(tmp_path / "a.wav", [noise(1, 9, rate)], rate)
    samples, media = opened(announcing(whole, 900, rate, tmp_path / "announced.wav"), scratch)
    np.testing.assert_array_equal(samples, by_whisper(whole))
    assert media.warnings == ("9.0 s of audio could be decoded, the header announces 891.0 s more",)


@pytest.mark.parametrize(
    "after",
    [
        b"LIST" + struct.pack("<I", 400_000) + b"INFO" + noise(1, 12.5).tobytes()[:399_996],
        b"id3 " + struct.pack("<I", 300_001) + bytes(300_002) + b"LIST" + struct.pack("<I", 4) + b"INFO",
        b"TAG" + bytes(125),
        b"APETAGEX" + noise(2, 12.5).tobytes(),
        bytes(100_000),
        b"",
    ],
)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_chunks_tags_and_padding_after_a_wavs_data_are_no_samples(
    tmp_path: Path, scratch: Path, rate: int, after: bytes
) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(1, 3, rate)], rate)
    expected = by_whisper(path)
    path.write_bytes(path.read_bytes() + after)
    samples, media = opened(path, scratch)
    np.testing.assert_array_equal(samples, expected)
    assert media.warnings == ()


# --- channels that cancel each other out


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.m4a"])
def test_channels_that_cancel_each_other_out_give_the_words_of_one(tmp_path: Path, scratch: Path, name: str) -> None:
    sound = noise(1, 6, 44_100)
    stereo = write_channels(tmp_path / "stereo.wav", [sound, -sound], 44_100)
    path = stereo if name == "a.wav" else convert(stereo, tmp_path / name, "-b:a", "320k")
    samples, media = opened(path, scratch)
    left, _ = opened(path, scratch, channel=Channel.LEFT)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(np.mean(left**2)), rel=0.02)
    assert "cancel each other out" in media.warnings[-1]


def test_a_recording_of_silence_is_not_said_to_cancel(tmp_path: Path, scratch: Path) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(1, 6, level=3), noise(2, 6, level=3)])
    samples, media = opened(path, scratch)
    np.testing.assert_array_equal(samples, by_whisper(path))
    assert media.warnings == ()


def test_one_speaker_beside_fifteen_silent_channels_does_not_cancel(tmp_path: Path, scratch: Path) -> None:
    voice = noise(1, 6, level=400)
    path = write_channels(tmp_path / "a.wav", [voice, *[noise(1, 6, level=0)] * 15])
    samples, media = opened(path, scratch)
    np.testing.assert_allclose(samples, voice / 32768 / 16, atol=1.01 / 32768)
    assert media.warnings == ()


# --- tracks


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Return a file of a mono and a stereo track, of which the second is marked as default."""
    mono = write_channels(tmp_path / "mono.wav", [noise(1, 1)])
    stereo = write_channels(tmp_path / "stereo.wav", [noise(2, 1), noise(3, 1)])
    options = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:a:0", "0", "-disposition:a:1", "default"]
    return convert(mono, tmp_path / "both.mkv", "-i", str(stereo), *options)


def test_the_default_track_is_taken_as_players_do(tmp_path: Path, scratch: Path, both: Path) -> None:
    samples, media = opened(both, scratch)
    np.testing.assert_array_equal(samples, by_whisper(tmp_path / "stereo.wav"))
    assert (media.track, media.tracks) == (1, 2)


@pytest.mark.parametrize(("track", "name"), [(0, "mono.wav"), (1, "stereo.wav")])
def test_any_track_can_be_asked_for(tmp_path: Path, scratch: Path, both: Path, track: int, name: str) -> None:
    samples, media = opened(both, scratch, track=track)
    np.testing.assert_array_equal(samples, by_whisper(tmp_path / name))
    assert (media.track, media.tracks) == (track, 2)


def test_channels_are_those_of_the_track(tmp_path: Path, scratch: Path, both: Path) -> None:
    samples, _ = opened(both, scratch, channel=Channel.RIGHT)
    np.testing.assert_array_equal(samples, by_whisper(write_channels(tmp_path / "right.wav", [noise(3, 1)])))


@pytest.mark.parametrize("name", ["both.mkv", "mono.wav"])
def test_a_track_that_is_not_there_is_refused(tmp_path: Path, scratch: Path, both: Path, name: str) -> None:
    with pytest.raises(WorkerError) as caught:
        open_media(tmp_path / name, scratch, AudioSelection(track=2))
    assert caught.value.reason is reasons.UNSUPPORTED_MEDIA
    assert caught.value.message.startswith("spec.audio.track: got 2, expected less than ")


def test_of_tracks_without_a_mark_the_first_is_taken(tmp_path: Path, scratch: Path, both: Path) -> None:
    unmarked = convert(both, tmp_path / "unmarked.mkv", "-map", "0", "-c", "copy", "-disposition:a", "0")
    samples, media = opened(unmarked, scratch)
    np.testing.assert_array_equal(samples, by_whisper(tmp_path / "mono.wav"))
    assert (media.track, media.tracks) == (0, 2)


# --- formats and names


def test_sound_that_starts_long_after_the_picture_is_found(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 2)])
    picture = ["-f", "lavfi", "-i", "nullsrc=size=640x480:rate=25:duration=18,geq=random(1)*255:128:128"]
    options = [*picture, "-itsoffset", "15", "-i", str(sound), "-map", "1:v", "-map", "2:a", "-f", "vob"]
    path = convert(sound, tmp_path / "a.vob", *options, "-c:v", "mpeg2video", "-q:v", "2", "-c:a", "mp2")
    assert path.stat().st_size > 12 << 20, "more than ffmpeg looks at by itself"
    samples, _ = opened(path, scratch)
    assert samples.size / SAMPLE_RATE == pytest.approx(17, abs=0.3)


PICTURE = ["-f", "lavfi", "-i", "color=size=720x576:rate=25:duration=2"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.dv", [*PICTURE, "-map", "1:v", "-map", "0:a", "-target", "pal-dv"]),
        ("a.wtv", ["-c:a", "mp2"]),
        ("a.nut", []),
        ("a.adx", []),
        ("a.swf", ["-ar", "44100"]),
        ("a.sf", ["-f", "ircam"]),
        ("a.smjpeg", ["-f", "smjpeg"]),
        ("a.c2", ["-ar", "8000", "-f", "codec2"]),
        ("a.mmf", ["-ar", "22050", "-f", "mmf"]),
        ("a.ast", ["-f", "ast"]),
    ],
)
def test_formats_that_ffmpeg_decodes_are_read(tmp_path: Path, scratch: Path, name: str, options: list[str]) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 2, 48_000)], 48_000)
    path = convert(sound, tmp_path / name, *options)
    samples, _ = opened(path, scratch)
    np.testing.assert_array_equal(samples, by_whisper(path))
    assert samples.size / SAMPLE_RATE == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("name", ["a.mp3", "none", "a.wav", "a.txt"])
def test_the_same_bytes_are_read_alike_under_any_name(tmp_path: Path, scratch: Path, name: str) -> None:
    path = make(tmp_path / "whole.mp3", seconds=3)
    expected = by_whisper(path)
    (tmp_path / name).write_bytes(bytes(1 << 20) + path.read_bytes())
    samples, _ = opened(tmp_path / name, scratch)
    np.testing.assert_array_equal(samples, expected)


# --- channels without the names of their speakers


@pytest.mark.parametrize("count", [3, 6, 7, 8, 9, 16, 24])
def test_a_mix_holds_every_channel_of_a_recorder_that_names_no_speakers(
    tmp_path: Path, scratch: Path, count: int
) -> None:
    """ffmpeg takes the third of three and the fourth of six for a subwoofer's, and knows no speakers for nine."""
    voices = [noise(number, 2, level=6000.0) for number in range(count)]
    samples, media = opened(write_channels(tmp_path / "a.wav", voices), scratch)
    shares = [np.dot(samples, voice) / np.dot(voice / 32768, voice) for voice in voices]
    assert shares == pytest.approx([1 / count] * count, abs=0.03)
    assert media.warnings == ()


def test_channels_whose_speakers_are_named_are_mixed_as_by_whisper(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(number, 2) for number in range(6)])
    path = convert(sound, tmp_path / "a.flac", "-af", "channelmap=channel_layout=5.1")
    np.testing.assert_array_equal(opened(path, scratch)[0], by_whisper(path))


# --- files that were joined


def test_files_that_are_read_past_the_first_are_not_called_left_out(tmp_path: Path, scratch: Path) -> None:
    for name in ("a.avi", "a.au", "a.mp3", "a.flac", "a.mka", "a.ts"):
        content = convert(write_channels(tmp_path / "a.wav", [noise(1, 3)]), tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(2 * content)
        samples, media = opened(tmp_path / name, scratch)
        assert samples.size / SAMPLE_RATE == pytest.approx(6, abs=0.3), name
        assert not any("another file" in warning for warning in media.warnings)


def test_the_beginning_of_another_file_is_found_also_where_two_blocks_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = convert(write_channels(tmp_path / "a.wav", [noise(1, 1)]), tmp_path / "a.wma").read_bytes()
    path = tmp_path / "joined.wma"
    path.write_bytes(2 * content)
    for block in range(17, 60):
        monkeypatch.setattr(joined_files, "_BLOCK", block)
        assert joined_files.find_following(path) == len(content)


@pytest.mark.parametrize(
    "content",
    [
        b"TTA1\x01\0\x01\0\x10\0" + struct.pack("<3I", 1, 2**32 - 1, 0),
        b"caff\0\x01\0\0" + struct.pack(">4sq", b"free", 2**63 - 1),
        b"caff\0\x01\0\0" + struct.pack(">4sq", b"free", 0) * 20_000,
        b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0" + b"\xff" * 8,
        b"FORM\0",
    ],
    ids=["samples", "long chunk", "many chunks", "long file", "cut off"],
)
def test_sizes_that_no_file_has_are_not_followed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile"
    path.write_bytes(content)
    assert joined_files.find_following(path) is None


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("a.wav", 16_000),
        *(
            (name, 22_050)
            for name in ("a.wav", "a.aiff", "a.tta", "a.w64", "a.caf", "a.voc", "a.wma", "a.flv", "a.wtv")
        ),
        *((name, 16_000) for name in ("a.m4a", "a.mov")),
    ],
)
def test_of_files_that_were_joined_the_result_says_that_the_second_was_not_taken(
    tmp_path: Path, scratch: Path, name: str, rate: int
) -> None:
    first = write_channels(tmp_path / "first.wav", [noise(1, 3, rate)], rate)
    path = tmp_path / name
    if path.suffix != ".wav":
        first = convert(first, path)
    content = first.read_bytes()
    path.write_bytes(2 * content)
    samples, media = opened(path, scratch)
    assert samples.size / SAMPLE_RATE == pytest.approx(3, abs=0.2)
    (warning,) = media.warnings
    assert warning == (
        f"another file begins at byte {len(content)}, as where files are joined: nothing was taken of it"
    )


def test_of_a_live_stream_that_repeats_its_beginning_what_follows_is_read(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 3)])
    path = convert(sound, tmp_path / "a.mp4", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "1000000")
    path.write_bytes(2 * path.read_bytes())
    samples, media = opened(path, scratch)
    assert samples.size / SAMPLE_RATE > 4
    assert not any("another file" in warning for warning in media.warnings)


def test_a_box_that_is_longer_than_any_file_ends_the_search_and_not_the_audio(tmp_path: Path, scratch: Path) -> None:
    path = convert(write_channels(tmp_path / "a.wav", [noise(1, 3)]), tmp_path / "a.m4a")
    path.write_bytes(path.read_bytes() + struct.pack(">I4sQ", 1, b"free", 2**64 - 1))
    samples, media = opened(path, scratch)
    assert samples.size / SAMPLE_RATE == pytest.approx(3, abs=0.2)
    assert not any("another file" in warning for warning in media.warnings)
