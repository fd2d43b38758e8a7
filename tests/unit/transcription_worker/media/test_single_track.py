"""Where a file's own structure proves that it has one track that begins with the file, ffprobe says the same."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from transcription_api.spec import AudioSelection, Channel
from transcription_worker.errors import WorkerError
from transcription_worker.media import audio, single_track
from transcription_worker.media.audio import open_media
from transcription_worker.media.reading import Reading
from transcription_worker.media.single_track import has_single_track
from transcription_worker.media.streams import Streams, find_streams

from tests.support.media import convert, make

KNOWN = {
    "a.m4a": [],
    "faststart.m4a": ["-movflags", "+faststart"],
    "alac.m4a": ["-acodec", "alac"],
    "stereo.mp4": ["-ac", "2", "-ar", "22050"],
    "a.mov": ["-acodec", "pcm_s16be"],
    "opus.mp4": ["-acodec", "libopus"],
    "tagged.m4a": ["-metadata", "title=A call", "-metadata", "comment=from the phone"],
    "a.opus": ["-acodec", "libopus"],
    "a.ogg": ["-acodec", "libvorbis"],
    "speex.ogg": ["-acodec", "libspeex", "-ar", "16000"],
    "flac.ogg": ["-acodec", "flac"],
    "a.webm": ["-acodec", "libopus"],
    "live.webm": ["-acodec", "libopus", "-live", "1"],
    "a.mka": ["-acodec", "libvorbis", "-metadata", "title=A call"],
    "untagged.mp3": ["-write_xing", "0", "-id3v2_version", "0"],
    "xing.mp3": ["-id3v2_version", "0", "-ar", "16000", "-q:a", "5"],
    "quiet.mp3": ["-id3v2_version", "0", "-ar", "8000", "-b:a", "8k", "-ac", "1"],
}
UNKNOWN = {
    "fragments.mp4": ["-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000"],
    "late.mp4": ["-output_ts_offset", "0.7"],
    "late.mka": ["-acodec", "libvorbis", "-output_ts_offset", "0.7"],
    "a.wma": [],
    "a.ts": [],
    "a.aac": ["-f", "adts"],
}
MUTATIONS = 4  # of each file: ffprobe is asked for each that is still known


def is_single(path: Path) -> bool:
    """Return whether ffprobe finds one audio track that begins with the file, or none that can be decoded.

    Where none can be decoded ffprobe is asked all the same, for words about it.
    """
    try:
        tracks = find_streams(path).tracks
    except WorkerError:
        return True
    return not any(track.decodable for track in tracks) or [(one.number, one.start) for one in tracks] == [(0, 0.0)]


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_of_one_track_is_known_for_one_and_ffprobe_says_so(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, *KNOWN[name])
    assert has_single_track(path)
    assert is_single(path)


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_may_begin_late_or_go_on_in_another_way_is_left_to_ffprobe(tmp_path: Path, name: str) -> None:
    assert not has_single_track(make(tmp_path / name, *UNKNOWN[name]))


def test_several_tracks_are_left_to_ffprobe(tmp_path: Path) -> None:
    one, other = make(tmp_path / "a.wav"), make(tmp_path / "b.wav", "-t", "1")
    for name, options in (
        ("a.m4a", []),
        ("a.ogg", ["-acodec", "libvorbis"]),
        ("a.mov", ["-acodec", "pcm_s16le"]),
        ("a.mka", []),
    ):
        path = convert(one, tmp_path / name, "-i", str(other), "-map", "0", "-map", "1", *options)
        assert not has_single_track(path), name
        assert len(find_streams(path).tracks) == 2
    assert not has_single_track(make(tmp_path / "film.mp4", video=True))


def test_streams_of_ogg_one_after_another_are_left_to_ffprobe(tmp_path: Path) -> None:
    first, second = make(tmp_path / "a.opus", "-acodec", "libopus"), make(tmp_path / "b.opus", "-acodec", "libopus")
    path = tmp_path / "chained.opus"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    assert not has_single_track(path)


def test_what_is_cut_off_or_goes_on_after_its_end_is_left_to_ffprobe(tmp_path: Path) -> None:
    path = tmp_path / "changed"
    for name in ("a.m4a", "a.opus"):
        content = make(tmp_path / name, *KNOWN[name]).read_bytes()
        for changed in (content[:-1], content[:1000], content[:20], content + b"more"):
            path.write_bytes(changed)
            assert not has_single_track(path)


def mutations(content: bytes, draw: random.Random, count: int, end: int) -> Iterator[bytes]:
    """Yield the content with a few bytes of its first or last `end` changed, moved or repeated."""
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(min(end, len(changed) - 8))
            at = draw.choice([at, len(changed) - 8 - at])
            kind = draw.randrange(4)
            if kind == 0:
                changed[at] ^= 1 << draw.randrange(8)
            elif kind == 1:
                changed[at : at + 4] = draw.choice([bytes(4), b"\xff" * 4, b"\0\0\0\1", draw.randbytes(4)])
            elif kind == 2:
                other = draw.randrange(min(end, len(changed) - 8))
                changed[at : at + 4], changed[other : other + 4] = changed[other : other + 4], changed[at : at + 4]
            else:
                changed[at:at] = changed[at : at + draw.randint(1, 64)]
        yield bytes(changed)


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_still_known_of_a_file_that_was_changed_at_random_is_what_ffprobe_says(
    tmp_path: Path, name: str
) -> None:
    content, path = make(tmp_path / name, *KNOWN[name]).read_bytes(), tmp_path / "changed"
    known = 0
    for changed in mutations(content, random.Random(name), 40 * MUTATIONS, 1500):
        path.write_bytes(changed)
        if has_single_track(path):
            known += 1
            assert is_single(path), path
        if known == MUTATIONS:
            return


def test_files_of_any_bytes_raise_nothing(tmp_path: Path) -> None:
    path, draw = tmp_path / "any", random.Random(5)
    starts = [
        b"\0\0\0\x18ftyp",
        b"OggS\0\x02",
        b"\xff\xfb\x90\x64",
        b"\0\0\0\1ftyp" + b"\xff" * 8,
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff",
        b"",
    ]
    for number in range(500):
        path.write_bytes(draw.choice(starts) + draw.randbytes(number))
        assert not has_single_track(path)


def test_what_is_read_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "a.opus", "-acodec", "libopus")
    monkeypatch.setattr(single_track, "_MOST_PAGES", 2)
    assert not has_single_track(path)
    path = make(tmp_path / "a.m4a")
    monkeypatch.setattr(single_track, "_MOST_BYTES", 1000)
    assert not has_single_track(path)


@pytest.mark.parametrize("name", ["a.m4a", "a.opus"])
def test_a_known_file_is_decoded_without_ffprobe_and_reported_as_before(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scratch = make(tmp_path / name, *KNOWN[name]), tmp_path / "scratch"
    scratch.mkdir()
    asked: list[Path] = []

    def counted(path: Path, reading: Reading) -> Streams:
        asked.append(path)
        return find_streams(path, reading)

    monkeypatch.setattr(audio, "find_streams", counted)
    media = open_media(path, scratch, AudioSelection())
    media.channels[0].close()
    assert (media.track, media.tracks, media.warnings) == (0, 1, ())
    assert asked == []
    for pcm in open_media(path, scratch, AudioSelection(channel=Channel.SPLIT)).channels:
        pcm.close()
    assert asked == [path]
