"""Times count on the clock that a player shows, whatever gaps the time stamps of a file leave."""

import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper.audio
from transcription_api.spec import AudioSelection, Channel
from transcription_worker.media.audio import open_audio, open_media
from transcription_worker.media.timeline import LEAST_GAP, Gap, Timeline, find_gaps

from tests.support.media import SAMPLE_RATE, convert, noise, write_channels

GAP = "asetpts='if(gte(PTS*TB,4),PTS+20/TB,PTS)'"


def opened(path: Path, scratch: Path, channel: Channel = Channel.MIX) -> Any:
    with closing(open_audio(path, scratch, channel)) as pcm:
        return pcm.read(0, pcm.count)


def silent_seconds(samples: Any) -> list[tuple[float, float]]:
    """Return the start and the end of each stretch of digital silence of half a second and more."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (samples == 0).astype(np.int8), [0]))))
    pairs = edges.reshape(-1, 2) / SAMPLE_RATE
    return [(float(start), float(end)) for start, end in pairs if end - start >= 0.4]


@pytest.mark.parametrize(
    "name", ["late.mp4", "late.m4a", "late.mka", "late.ts", "late.mpg", "late.ogv", "late.flv", "late.wmv", "late.nut"]
)
def test_sound_that_begins_late_has_the_times_that_a_player_shows(tmp_path: Path, scratch: Path, name: str) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 2)])
    picture = ["-f", "lavfi", "-i", "color=size=64x64:rate=25:duration=10"]
    late = ["-itsoffset", "8", "-i", str(sound)]
    both = [*picture, *late, "-map", "1:v", "-map", "2:a", "-ac", "1", "-ar", "44100"]
    path = convert(sound, tmp_path / name, *([*late, "-map", "1:a"] if name in ("late.m4a", "late.mka") else both))
    samples = opened(path, scratch)
    ((start, end),) = silent_seconds(samples)
    assert (start, end) == pytest.approx((0, 8), abs=0.1)
    assert samples.size / SAMPLE_RATE == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(("name", "codec"), [("gap.mp4", "aac"), ("gap.webm", "libopus"), ("gap.mka", "pcm_s16le")])
def test_a_pause_in_the_recording_lasts_as_long_in_the_transcript(
    tmp_path: Path, scratch: Path, name: str, codec: str
) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 9)])
    path = convert(sound, tmp_path / name, "-af", GAP, "-c:a", codec)
    for channel in (Channel.MIX, Channel.LEFT):
        samples = opened(path, scratch, channel)
        assert samples.size / SAMPLE_RATE == pytest.approx(29, abs=0.1)
        ((start, end),) = silent_seconds(samples)
        assert (start, end) == pytest.approx((4, 24), abs=0.15)


def test_of_channels_apart_each_has_the_pause(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 9), noise(2, 9)])
    path = convert(sound, tmp_path / "gap.mka", "-af", GAP, "-c:a", "pcm_s16le")
    media = open_media(path, scratch, AudioSelection(Channel.SPLIT))
    for pcm in media.channels:
        with closing(pcm):
            ((start, end),) = silent_seconds(pcm.read(0, pcm.count))
            assert (start, end) == pytest.approx((4, 24), abs=0.1)


def test_what_follows_damaged_frames_keeps_its_time(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 10, 44_100)], 44_100)
    path = convert(sound, tmp_path / "a.m4a", "-b:a", "64k", "-movflags", "+faststart")
    whole = opened(path, scratch)
    content = bytearray(path.read_bytes())
    middle, half_a_second = len(content) // 2, 4000
    content[middle : middle + half_a_second] = b"\xff" * half_a_second
    path.write_bytes(content)
    assert whisper.audio.load_audio(str(path)).size < whole.size - 0.3 * SAMPLE_RATE, "frames are lost"
    media = open_media(path, scratch, AudioSelection())
    with closing(media.channels[0]) as pcm:
        assert pcm.count == pytest.approx(whole.size, abs=0.1 * SAMPLE_RATE)
        offset = pcm.count - whole.size
        last = pcm.read(7 * SAMPLE_RATE, 2 * SAMPLE_RATE)
    same = whole[7 * SAMPLE_RATE - offset :][: last.size]
    assert np.corrcoef(last, same)[0, 1] > 0.9, "the same noise at the same time"
    assert "damaged" in media.warnings[0]


def damage(path: Path, pieces: int, size: int) -> None:
    """Overwrite pieces of a file's middle with random bytes."""
    random = np.random.default_rng(5)
    content = bytearray(path.read_bytes())
    for at in random.integers(len(content) // 10, len(content) * 8 // 10, pieces):
        content[at : at + size] = random.integers(0, 256, size, np.uint8).tobytes()
    path.write_bytes(content)


def as_a_player_shows(path: Path) -> Any:
    """Return the samples as ffmpeg plays them: each frame where its time stamp is, with silence before it."""
    synchronized = "aresample=16000:async=16000:min_hard_comp=0.02:first_pts=0"
    form = ["-map", "0:a", "-af", synchronized, "-ac", "1", "-f", "s16le", "-"]
    played = subprocess.run(["ffmpeg", "-v", "quiet", "-i", path, *form], check=True, capture_output=True)
    return np.frombuffer(played.stdout, np.int16)


def seconds_later(samples: Any, than: Any, start: float, end: float) -> float:
    """Return by how much the samples of a stretch come later than the same noise among others, at most 2 s."""
    piece = samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)].astype(float)
    first = round((start - 2) * SAMPLE_RATE)
    others = than[first : first + 4 * SAMPLE_RATE + piece.size].astype(float)
    size = others.size + piece.size
    products = np.fft.irfft(np.fft.rfft(others, size) * np.fft.rfft(piece, size).conj(), size)
    matches = np.abs(products[: others.size - piece.size + 1])
    at = int(matches.argmax())
    assert matches[at] > 0.5 * (piece @ piece), "the noise is found again"
    return 2 - at / SAMPLE_RATE


@pytest.mark.parametrize(
    ("name", "pieces", "size"),
    [
        *(
            (name, 1, 4000)
            for name in ("a.mp3", "a.aac", "a.ac3", "a.flac", "a.tta", "a.wv", "a.ogg", "a.flv", "a.wma")
        ),
        *(
            (name, 30, 300)
            for name in ("a.mp3", "a.aac", "a.ac3", "a.flac", "a.tta", "a.wv", "a.opus", "a.m4a", "a.ts")
        ),
    ],
)
def test_damaged_frames_leave_what_follows_where_a_player_has_it(
    tmp_path: Path, scratch: Path, name: str, pieces: int, size: int
) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 12, 44_100)], 44_100)
    path = convert(sound, tmp_path / name, *(["-b:a", "64k"] if name in ("a.mp3", "a.aac") else []))
    damage(path, pieces, size)
    samples = opened(path, scratch)
    played = as_a_player_shows(path)
    assert samples.size / SAMPLE_RATE == pytest.approx(played.size / SAMPLE_RATE, abs=LEAST_GAP + 0.01)
    end = samples.size / SAMPLE_RATE - 0.2
    assert seconds_later(samples, played, end - 1, end) == pytest.approx(0, abs=LEAST_GAP + 0.01)


@pytest.mark.parametrize(
    "name",
    ["a.mp4", "a.mkv", "a.webm", "a.mp3", "a.ogg", "a.opus", "a.ts", "a.flv", "a.wma", "a.avi", "a.mov", "a.3gp"],
)
def test_of_a_file_without_gaps_not_one_sample_changes(tmp_path: Path, scratch: Path, name: str) -> None:
    options = ["-ar", "8000", "-ac", "1", "-c:a", "libopencore_amrnb"] if name == "a.3gp" else []
    sound = write_channels(tmp_path / "sound.wav", [noise(3, 70), noise(4, 70)], 44_100)
    if name == "a.3gp":
        options = ["-ac", "1", "-c:a", "aac"]
    path = convert(sound, tmp_path / name, *options)
    np.testing.assert_array_equal(opened(path, scratch), whisper.audio.load_audio(str(path)))


def test_a_fragment_of_a_live_stream_begins_at_zero(tmp_path: Path, scratch: Path) -> None:
    sound = write_channels(tmp_path / "a.wav", [noise(1, 3)])
    options = [
        "-itsoffset",
        "50000",
        "-i",
        str(sound),
        "-map",
        "1:a",
        "-c:a",
        "aac",
        "-movflags",
        "frag_keyframe+empty_moov",
    ]
    path = convert(sound, tmp_path / "live.mp4", *options)
    assert opened(path, scratch).size / SAMPLE_RATE == pytest.approx(3, abs=0.1)


# --- gaps


def lines(*frames: tuple[int, int]) -> list[bytes]:
    """Return framecrc's lines for frames of a time stamp and a number of samples."""
    return [b"#tb 0: 1/16000", *(b"0, %d, %d, %d, %d, 0x00000000" % (at, at, n, 2 * n) for at, n in frames)]


def test_time_stamps_that_drift_or_jitter_leave_no_gap() -> None:
    frames = [(number * 324 + number % 3 * 40, 320) for number in range(5000)]
    assert find_gaps(lines(*frames), 0.0) == []


def test_time_stamps_that_go_back_leave_no_gap_and_drop_nothing() -> None:
    assert find_gaps(lines((0, 16000), (8000, 16000), (24000, 16000)), 0.0) == []


def test_single_lost_frames_are_made_up_for_once_they_come_to_a_tenth_of_a_second() -> None:
    frames = [(number * 656, 320) for number in range(11)]
    assert find_gaps(lines(*frames), 0.0) == [Gap(5 * 320, 1680), Gap(10 * 320, 1680)]


def test_pieces_leave_out_the_silence() -> None:
    timeline = Timeline([Gap(0, 5), Gap(10, 7), Gap(10, 1)])
    stored = np.arange(1, 21)
    whole = np.concatenate((np.zeros(5), stored[:10], np.zeros(8), stored[10:]))
    assert timeline.silence == 13
    for start in range(0, 33):
        for end in range(start, 34):
            found = np.zeros(end - start)
            for piece in timeline.pieces(start, end):
                found[piece.at - start : piece.at - start + piece.count] = stored[
                    piece.stored : piece.stored + piece.count
                ]
            np.testing.assert_array_equal(found, whole[start:end])


@pytest.mark.parametrize("name", ["a.aac", "a.mp3", "a.ac3"])
def test_a_stream_that_goes_on_at_another_sample_rate_has_no_gaps(tmp_path: Path, scratch: Path, name: str) -> None:
    """A capture of a radio station, whose advertisements have a sample rate of their own. ffmpeg counts on at the first one."""
    rates = (48_000, 32_000) if name == "a.ac3" else (22_050, 44_100)
    parts = [write_channels(tmp_path / f"{rate}.wav", [noise(rate, 3, rate)], rate) for rate in rates]
    coded = [convert(part, tmp_path / f"{part.stem}-{name}").read_bytes() for part in parts]
    path = tmp_path / name
    path.write_bytes(b"".join(coded))
    samples = opened(path, scratch)
    assert samples.size / SAMPLE_RATE == pytest.approx(6, abs=0.3)
    np.testing.assert_array_equal(samples, whisper.audio.load_audio(str(path)))


def test_a_start_that_the_first_time_stamp_has_already_is_not_added_to_it() -> None:
    """ffmpeg counts the time stamps of Ogg from the first track before its version 6, and from the track's start since."""
    for first in (0, 40_000):
        frames = lines(*((first + 1024 * number, 1024) for number in range(10)))
        assert find_gaps(frames, 2.5, own_clock=True) == [Gap(0, 40_000)]
    assert find_gaps(lines((40_000, 1024)), 2.5) == [Gap(0, 80_000)]


def test_a_count_of_frames_leaves_gaps_where_frames_are_lost_also_in_many_places() -> None:
    lost = lines(*((1024 * number, 1024) for number in range(100) if number not in (30, 31)))
    assert find_gaps(lost, 0.0, counted=True) == [Gap(30 * 1024, 2048)]
    half = lines(*((1024 * number, 1024) for number in range(100) if number % 20 < 10 or number % 2))
    assert sum(gap.count for gap in find_gaps(half, 0.0, counted=True)) == 24 * 1024, "the last is too short"


def test_a_count_of_frames_that_goes_wrong_leaves_no_gaps_from_there_to_where_it_is_right_again() -> None:
    slow = [(1024 * number, 1024 if number < 50 else 512) for number in range(100)]
    assert find_gaps(lines(*slow), 0.0, counted=True) == []
    assert len(find_gaps(lines(*slow), 0.0)) > 1, "a format with time stamps may have pauses anywhere"
    after = [(102_400 + 1024 * number, 1024) for number in range(1000) if number not in (500, 501)]
    stored = 50 * 1024 + 50 * 512 + 500 * 1024
    assert find_gaps(lines(*slow, *after), 0.0, counted=True) == [Gap(stored, 2048)]


def test_a_jump_where_the_count_goes_wrong_is_no_gap() -> None:
    """As where two mp3 files are joined: the count jumps by a second, and then counts more than there is."""
    frames = [(1024 * number, 1024) for number in range(50)]
    frames += [(100_000 + 1024 * number, 768) for number in range(60)]
    assert find_gaps(lines(*frames), 0.0, counted=True) == []
