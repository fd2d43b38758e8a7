"""Media is decoded to openai-whisper's own samples, in a file on disk that is read in pieces."""

import errno
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import whisper.audio
from transcription_api.spec import Channel
from transcription_worker.media import audio, pcm_file
from transcription_worker.media.audio import open_audio
from transcription_worker.media.pcm_file import PcmFile

from tests.support.media import SAMPLE_RATE, Pcm, convert, make, noise, open_split, write_channels


def opened(path: Path, scratch: Path, channel: Channel = Channel.MIX) -> Any:
    """Return all samples of a file that is opened and closed."""
    with closing(open_audio(path, scratch, channel)) as pcm:
        samples = pcm.read(0, pcm.count)
        assert samples.size == pcm.count
    return samples


def by_whisper(path: Path) -> Any:
    return whisper.audio.load_audio(str(path))


# --- formats


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pcm.wav", ["-ac", "2"]),
        ("plain.wav", ["-ar", "16000"]),
        ("float.wav", ["-acodec", "pcm_f32le"]),
        ("many.wav", ["-ac", "8", "-ar", "192000"]),
        ("phone.wav", ["-acodec", "pcm_mulaw", "-ar", "8000"]),
        ("short.wav", ["-t", "0.01"]),
        ("short.m4a", ["-t", "0.01"]),
        ("a.rf64.wav", ["-rf64", "always"]),
        ("a.flac", []),
        ("vbr.mp3", ["-q:a", "5"]),
        ("untagged.mp3", ["-q:a", "5", "-write_xing", "0"]),
        ("a.m4a", []),
        ("streamed.mp4", ["-movflags", "+faststart"]),
        ("fragments.mp4", ["-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000"]),
        ("a.ogg", ["-acodec", "libvorbis"]),
        ("a.opus", ["-acodec", "libopus"]),
        ("a.webm", ["-acodec", "libopus"]),
        ("a.aiff", []),
        ("a.au", []),
        ("a.caf", []),
        ("a.aac", ["-f", "adts"]),
        ("a.ts", []),
        ("a.wma", []),
        ("wrong.wav", ["-f", "mp3"]),
        ("none", ["-f", "flac"]),
        ("-v 'odd' %03d *.mp3", []),
    ],
)
def test_good_files_give_whispers_own_samples(tmp_path: Path, scratch: Path, name: str, options: list[str]) -> None:
    path = make(tmp_path / name, *options)
    samples = opened(path, scratch)
    np.testing.assert_array_equal(samples, by_whisper(path))
    assert samples.dtype == np.float32
    assert abs(samples.size / SAMPLE_RATE - (0.01 if "0.01" in options else 1.3)) < 0.1


def test_a_video_gives_its_sound(tmp_path: Path, scratch: Path) -> None:
    path = make(tmp_path / "a.mkv", video=True)
    np.testing.assert_array_equal(opened(path, scratch), by_whisper(path))


def test_sound_that_ends_before_the_pictures_is_whole(tmp_path: Path, scratch: Path) -> None:
    video = make(tmp_path / "a.mp4", "-t", "6", video=True, seconds=8)
    trimmed = convert(video, tmp_path / "trimmed.mp4", "-ss", "3.3", "-c", "copy")
    np.testing.assert_array_equal(opened(trimmed, scratch), by_whisper(trimmed))


def test_an_mp3s_cover_is_not_in_the_way(tmp_path: Path, scratch: Path) -> None:
    cover = make(tmp_path / "cover.png", "-frames:v", "1", audio=False, video=True)
    path = convert(
        make(tmp_path / "a.mp3"), tmp_path / "covered.mp3", "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy"
    )
    np.testing.assert_array_equal(opened(path, scratch), by_whisper(path))


@pytest.mark.parametrize("factor", [0.1, 10.0])
def test_an_mp3_that_lies_about_its_length_is_decoded_to_its_end(tmp_path: Path, scratch: Path, factor: float) -> None:
    path = make(tmp_path / "a.mp3", "-q:a", "5", seconds=20)
    content = bytearray(path.read_bytes())
    at = content.index(b"Xing") + 8  # after the flags: the number of frames
    (frames,) = struct.unpack_from(">I", content, at)
    struct.pack_into(">I", content, at, int(frames * factor))
    path.write_bytes(content)
    samples = opened(path, scratch)
    np.testing.assert_array_equal(samples, by_whisper(path))
    assert abs(samples.size / SAMPLE_RATE - 20) < 0.15


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_a_wav_that_was_streamed_announces_nothing(tmp_path: Path, scratch: Path, size: int) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(1, 2)])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 40, size)
    path.write_bytes(content)
    samples = opened(path, scratch)
    np.testing.assert_array_equal(samples, by_whisper(path))
    assert samples.size == 2 * SAMPLE_RATE


def test_samples_that_are_stored_as_whisper_takes_them_are_not_copied(tmp_path: Path, scratch: Path) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(1, 3)])
    with closing(open_audio(path, scratch)) as pcm:
        assert list(scratch.iterdir()) == []
        path.unlink()  # what is open can still be read
        np.testing.assert_array_equal(pcm.read(0, pcm.count), noise(1, 3).astype(np.float32) / 32768.0)


def test_chunks_before_and_after_a_wavs_data_are_no_samples(tmp_path: Path, scratch: Path) -> None:
    plain = write_channels(tmp_path / "a.wav", [noise(1, 1)]).read_bytes()
    note = struct.pack("<4sI", b"LIST", 5) + b"INFOx\0"
    path = tmp_path / "noted.wav"
    for content in (plain[:36] + note + plain[36:], plain + note, plain[:36] + note + plain[36:] + note):
        path.write_bytes(content)
        np.testing.assert_array_equal(opened(path, scratch), noise(1, 1).astype(np.float32) / 32768.0)


# --- channels


def channels_of(number: int) -> list[Pcm]:
    return [noise(seed, 1.5, 44_100) for seed in range(number)]


@pytest.fixture
def alone(tmp_path: Path) -> Any:
    """Return a function that reads a channel, in a file of its own, with whisper."""
    return lambda channel: by_whisper(write_channels(tmp_path / "alone.wav", [channel], 44_100))


@pytest.mark.parametrize("number", [2, 6, 8, 12, 16])
def test_each_channel_is_whispers_reading_of_that_channel_alone(
    tmp_path: Path, scratch: Path, alone: Any, number: int
) -> None:
    channels = channels_of(number)
    path = write_channels(tmp_path / "a.wav", channels, 44_100)
    np.testing.assert_array_equal(opened(path, scratch, Channel.LEFT), alone(channels[0]))
    np.testing.assert_array_equal(opened(path, scratch, Channel.RIGHT), alone(channels[1]))
    split = open_split(path, scratch)
    assert len(split) == number
    for pcm, channel in zip(split, channels, strict=True):
        with closing(pcm):
            np.testing.assert_array_equal(pcm.read(0, pcm.count), alone(channel))


def test_channels_of_coded_audio_are_told_apart(tmp_path: Path, scratch: Path) -> None:
    tone, silence = noise(5, 2, 48_000), np.zeros(96_000, np.int16)
    path = convert(write_channels(tmp_path / "a.wav", [tone, silence], 48_000), tmp_path / "a.m4a")
    loud, quiet = (np.abs(opened(path, scratch, side)).mean() for side in (Channel.LEFT, Channel.RIGHT))
    assert loud > 20 * quiet


def test_of_a_mono_file_the_left_channel_and_the_split_are_the_file(tmp_path: Path, scratch: Path) -> None:
    path = make(tmp_path / "a.mp3", "-ac", "1")
    np.testing.assert_array_equal(opened(path, scratch, Channel.LEFT), by_whisper(path))
    (only,) = open_split(path, scratch)
    with closing(only):
        np.testing.assert_array_equal(only.read(0, only.count), by_whisper(path))


# --- reading


@pytest.fixture
def pcm(tmp_path: Path, scratch: Path) -> Iterator[PcmFile]:
    """Yield three seconds of decoded audio."""
    path = write_channels(tmp_path / "a.wav", [noise(1, 3), noise(1, 3)])
    with closing(open_audio(path, scratch)) as pcm:
        assert len(list(scratch.iterdir())) == 1
        yield pcm


@pytest.mark.parametrize(
    ("start", "count"), [(0, 0), (0, 1), (1, 48_000), (47_999, 1), (47_999, 9), (48_000, 5), (99_999, 5), (123, 4567)]
)
def test_any_piece_is_read_and_fewer_samples_at_the_end(pcm: PcmFile, start: int, count: int) -> None:
    whole = pcm.read(0, pcm.count)
    np.testing.assert_array_equal(pcm.read(start, count), whole[start : start + count])


def test_a_long_piece_is_read_in_steps(pcm: PcmFile, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pcm.read(0, pcm.count)
    monkeypatch.setattr(pcm_file, "_READ_SAMPLES", 1000)
    np.testing.assert_array_equal(pcm.read(7, 40_000), whole[7:40_007])


def test_threads_read_without_disturbing_one_another(pcm: PcmFile) -> None:
    whole = pcm.read(0, pcm.count)
    starts = np.random.default_rng(0).integers(0, pcm.count, 2000)
    with ThreadPoolExecutor(8) as pool:
        pieces = list(pool.map(lambda start: pcm.read(int(start), 500), starts))
    for start, piece in zip(starts, pieces, strict=True):
        np.testing.assert_array_equal(piece, whole[start : start + 500])


def test_samples_that_are_cut_off_behind_our_back_are_an_error(tmp_path: Path, scratch: Path) -> None:
    path = write_channels(tmp_path / "a.wav", [noise(1, 3)])
    with closing(open_audio(path, scratch)) as pcm:
        path.write_bytes(b"")
        with pytest.raises(OSError, match="cut off") as caught:
            pcm.read(0, 10)
    assert caught.value.errno == errno.EIO


def test_closing_deletes_the_samples_and_may_come_twice(pcm: PcmFile, scratch: Path) -> None:
    pcm.close()
    pcm.close()
    assert list(scratch.iterdir()) == []


def test_many_threads_open_at_a_time(tmp_path: Path, scratch: Path) -> None:
    paths = [make(tmp_path / f"{number}.mp3", seconds=1 + number / 10) for number in range(8)]
    with ThreadPoolExecutor(len(paths)) as pool:
        for path, samples in zip(paths, pool.map(lambda path: opened(path, scratch), paths), strict=True):
            np.testing.assert_array_equal(samples, by_whisper(path))


@pytest.mark.parametrize("seconds", [0.2, 20])
def test_a_full_disk_is_told_as_such(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    def full(_: Path) -> IO[bytes]:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr(audio, "_new_spool", full)
    with pytest.raises(OSError, match="No space left") as caught:
        open_audio(make(tmp_path / "a.mp3", seconds=seconds), scratch)
    assert caught.value.errno == errno.ENOSPC
