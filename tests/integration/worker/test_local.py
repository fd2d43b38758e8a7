"""The local command transcribes files with the real model, as whisper's command does, and survives bad ones."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from transcription_api import exit_codes
from transcription_api.spec import Format, Subtitles

from tests.support.local_command import (
    QUICK,
    SECONDS,
    Ended,
    command,
    contents,
    end_of,
    environment,
    local,
    start,
    wait_for,
)
from tests.support.result_comparison import assert_same
from tests.support.speech import SAMPLE_RATE, speak, write_wav
from tests.support.transcript_score import spoken_text, word_error_rate
from tests.support.whisper_command import kept_within, whisper_command

SPOKEN = {"interview": ("en", 701, 34.0), "fala": ("pt", 704, 20.0), "news": ("en", 703, 45.0)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three recordings, one of them flac in a subfolder, and a text that is called an mp3."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, spoken in SPOKEN.items():
        write_wav(folder / f"{name}.wav", speak(*spoken)[0])
    (folder / "below").mkdir()
    convert(folder / "news.wav", folder / "below/news.flac")
    (folder / "news.wav").unlink()
    (folder / "minutes.mp3").write_text("Minutes of a meeting, and no recording of it.\n" * 40)
    return folder


def convert(source: Path, target: Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, target], check=True)


@dataclass(frozen=True)
class Finished:
    """A run over the folder, shared by the tests that look at it."""

    ended: Ended
    out: Path
    written: dict[str, bytes]


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    base = tmp_path_factory.mktemp("finished")
    out = base / "out"
    ended = local(base / "scratch", folder, "--recursive", "--output-dir", out, *QUICK)
    return Finished(ended, out, contents(out))


def text_error(name: str, written: bytes) -> float:
    return word_error_rate(spoken_text(speak(*SPOKEN[name])[1]), json.loads(written)["text"])


def test_every_file_has_its_transcript_and_its_place(finished: Finished) -> None:
    places = {"interview": "interview", "fala": "fala", "news": "below/news"}
    assert set(finished.written) == {f"{place}.{fmt.value}" for place in places.values() for fmt in Format}
    for name, place in places.items():
        written = finished.written[f"{place}.json"]
        assert text_error(name, written) <= 0.05
        assert json.loads(written)["language"] == SPOKEN[name][0]


def test_all_five_formats_are_what_the_whisper_command_writes(finished: Finished, folder: Path, tmp_path: Path) -> None:
    files = [folder / "interview.wav", folder / "fala.wav", folder / "below/news.flac"]
    expected = whisper_command(files, tmp_path / "command", "--output_format", "all", *QUICK)
    written = {Path(name).name: body for name, body in finished.written.items()}
    assert_same(written, kept_within(expected, {name: seconds for name, (_, _, seconds) in SPOKEN.items()}))


def test_a_bad_file_fails_by_name_and_the_others_are_done(finished: Finished) -> None:
    ended = finished.ended
    assert ended.code == exit_codes.MEDIA_INVALID, ended.all
    assert len(re.findall(r"^failed   .*minutes\.mp3: UnsupportedMedia: ", ended.out, re.M)) == 1
    assert len(re.findall(r"^done     .*: 0:\d\d of audio, (en|pt), \d+ segments", ended.out, re.M)) == 3
    assert "Traceback" not in ended.all


def test_the_summary_counts_files_audio_and_speed_and_repeats_what_failed(finished: Finished) -> None:
    summary = finished.ended.out[finished.ended.out.index("4 files:") :]
    assert summary.startswith("4 files: 3 done, 1 failed\n1:39 of audio in 0:")
    assert re.search(r"in \d+:\d\d, \d+(\.\d)?x real time$", summary, re.M)
    assert re.search(r"^failed: .*minutes\.mp3: UnsupportedMedia: cannot decode the source", summary, re.M)


def test_no_transcript_reaches_the_terminal(finished: Finished) -> None:
    for name, body in finished.written.items():
        if name.endswith(".txt"):
            assert body.decode().splitlines()[0] not in finished.ended.all


def test_what_is_there_is_skipped_and_what_is_missing_is_made(finished: Finished, folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*.*")}
    (finished.out / "fala.srt").unlink()
    files = [folder / "interview.wav", folder / "fala.wav"]
    ended = local(tmp_path / "scratch", *files, "--output-dir", finished.out, "--skip-existing", *QUICK)
    assert ended.code == exit_codes.OK, ended.all
    assert "2 files: 1 done, 0 failed, 1 skipped" in ended.out
    assert_same(contents(finished.out), finished.written)
    assert (finished.out / "interview.json").stat().st_mtime_ns == before[finished.out / "interview.json"]
    again = local(tmp_path / "scratch", *files, "--output-dir", finished.out, "--skip-existing", *QUICK)
    assert again.out == "2 files: 0 done, 0 failed, 2 skipped\n"  # no model was loaded for it


def test_words_and_subtitles_are_the_whisper_commands(folder: Path, tmp_path: Path) -> None:
    audio = folder / "interview.wav"
    options = ["--word_timestamps", "True", "--max_line_width", "24", "--max_line_count", "2", "--language", "en"]
    options += ["--highlight_words", "True", "--initial_prompt", "Anna", "--temperature", "0", "--beam_size", "3"]
    ended = local(tmp_path / "scratch", audio, "--output_dir", tmp_path / "out", *options)
    assert ended.code == exit_codes.OK, ended.all
    expected = whisper_command([audio], tmp_path / "command", *options)
    kept = kept_within(expected, {"interview": 34.0}, Subtitles(24, 2, highlight_words=True))
    assert_same(contents(tmp_path / "out"), kept)


def test_the_reference_engine_writes_the_whisper_commands_very_bytes(folder: Path, tmp_path: Path) -> None:
    audio = folder / "fala.wav"
    options = ["--clip_timestamps", "0,8.5,12", "--language", "pt", *QUICK]
    ended = local(tmp_path / "scratch", audio, "-o", tmp_path / "out", "--engine", "openai-whisper", *options)
    assert ended.code == exit_codes.OK, ended.all
    expected = whisper_command([audio], tmp_path / "command", *options)
    assert contents(tmp_path / "out") == kept_within(expected, {"fala": 20.0})


def test_each_channel_is_transcribed_on_its_own(tmp_path: Path) -> None:
    spoken = [("en", 711, 30.0), ("pt", 712, 30.0)]
    for side, (language, seed, seconds) in zip(("left", "right"), spoken, strict=True):
        write_wav(tmp_path / f"{side}.wav", speak(language, seed, seconds)[0])
    joined: list[str | Path] = [
        "-i",
        tmp_path / "left.wav",
        "-i",
        tmp_path / "right.wav",
        "-filter_complex",
        "amerge=inputs=2",
    ]
    subprocess.run(["ffmpeg", "-v", "error", *joined, tmp_path / "call.wav"], check=True)
    out = tmp_path / "out"
    words: list[str | Path] = ["--channel", "split", "-f", "txt,json", "-o", out, *QUICK]
    ended = local(tmp_path / "scratch", tmp_path / "call.wav", *words)
    assert ended.code == exit_codes.OK, ended.all
    assert set(contents(out)) == {f"call.ch{channel}.{fmt}" for channel in (0, 1) for fmt in ("txt", "json")}
    for channel, (language, seed, seconds) in enumerate(spoken):
        written = json.loads((out / f"call.ch{channel}.json").read_bytes())
        assert written["language"] == language
        _, utterances = speak(language, seed, seconds)
        assert word_error_rate(spoken_text(utterances), written["text"]) <= 0.05
    assert "call.wav: 0:30 of audio, en, pt, " in ended.out
    # Beside a file of one channel and one of none.
    (tmp_path / "none.mp3").write_bytes(b"no sound" * 100)
    files = [tmp_path / name for name in ("call.wav", "none.mp3", "left.wav")]
    again = local(tmp_path / "scratch", *files, *words, "--skip-existing")
    assert again.code == exit_codes.MEDIA_INVALID, again.all
    assert "3 files: 1 done, 1 failed, 1 skipped" in again.out
    assert {f"left.ch0.{fmt}" for fmt in ("txt", "json")} < set(contents(out))
    assert again.out.count("none.mp3: UnsupportedMedia") == 2  # as it failed, and in the summary


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with enough recordings for a run to be interrupted in the middle."""
    folder = tmp_path_factory.mktemp("many")
    samples, _ = speak("en", 721, 25)
    for number in range(12):
        write_wav(folder / f"{number:02}.wav", np.roll(samples, number * SAMPLE_RATE // 7))
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, exit_codes.INTERRUPTED)])
def test_an_interruption_keeps_what_is_done_and_the_next_run_goes_on(
    many: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    words: list[str | Path] = [many, "-o", out, "-f", "txt,json", "--batch-size", "2", *QUICK]
    process = start(scratch, *words)
    said = wait_for(process, "done ")
    process.send_signal(number)
    began = time.monotonic()
    said += end_of(process)
    assert time.monotonic() - began < 10
    assert process.returncode == code, said
    done = re.findall(r"^done     .*/(\d\d)\.wav", said, re.M)
    assert 1 <= len(done) < 12
    assert set(contents(out)) == {f"{name}.{fmt}" for name in done for fmt in ("txt", "json")}
    assert f"12 files: {len(done)} done, 0 failed, {12 - len(done)} left" in said
    assert f"{number.name} ended it early; the same command with --skip-existing goes on" in said
    assert "Traceback" not in said
    assert list(scratch.iterdir()) == []
    ended = local(scratch, *words, "--skip-existing")
    assert ended.code == exit_codes.OK, ended.all
    assert f"{12 - len(done)} done, 0 failed, {len(done)} skipped" in ended.out
    assert len(contents(out)) == 24


def terminal_of(words: list[str | Path], scratch: Path, columns: int) -> tuple[int, str]:
    """Return the exit code, and all output to a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = environment(scratch, TERM="xterm")
    process = subprocess.Popen(command(*words), env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b"".join(read_terminal(ours))
    os.close(ours)
    return process.wait(timeout=SECONDS), seen.decode()


def read_terminal(descriptor: int) -> Iterator[bytes]:
    while select.select([descriptor], [], [], SECONDS)[0]:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except OSError:  # nobody writes any more
            return
        if not chunk:
            return
        yield chunk


def on_screen(seen: str) -> list[str]:
    """Return what a person sees in the end: \\r goes back to the line's start, and \\x1b[A a line up."""
    lines = []
    for line in seen.replace("\x1b[A", "").split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return [line for line in lines if line]


def test_a_terminal_shows_a_bar_with_speed_and_time_left_and_in_the_end_only_lines(many: Path, tmp_path: Path) -> None:
    words: list[str | Path] = [many, "-o", tmp_path / "out", "-f", "txt", "--batch-size", "2", *QUICK]
    code, seen = terminal_of(words, tmp_path / "scratch", 110)
    assert code == exit_codes.OK, seen
    bar = r"\d+/12 files, \d+%, \d+:\d\d of ~?\d+:\d\d, \d+(?:\.\d)?x real time, ETA \d+:\d\d \|[^|]*\|"
    drawn = re.findall(bar, seen)
    assert len(drawn) >= 3
    shares = [int(re.findall(r"(\d+)%", one)[0]) for one in drawn]
    assert max(shares) > min(shares)
    lines = on_screen(seen)
    assert sum(line.startswith("done     ") for line in lines) == 12
    assert not any(re.search(r"files, \d+%", line) for line in lines)  # the bar is gone
    assert lines[-2] == "12 files: 12 done, 0 failed"
    assert re.fullmatch(r"5:00 of audio in \d+:\d\d, \d+(\.\d)?x real time", lines[-1])


def test_without_a_gpu_nothing_is_transcribed_and_the_error_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    ended = local(tmp_path / "scratch", folder / "fala.wav", "-o", tmp_path / "out", cpu=False)
    assert ended.code == exit_codes.DEVICE_UNUSABLE
    assert "transcription-worker local: GPUDriverMissing: " in ended.err
    assert "--device cpu runs on the CPU instead" in ended.err
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--engine", "openai-whisper", "--long-form", "chunked"], 64, "EngineUnsuitable: --long-form: got chunked"),
        (["--model", "huge"], 68, "ModelNotFound: --model: got 'huge', expected one of tiny.en"),
        (["--precision", "float16"], 64, "EngineUnsuitable: --precision: got 'float16' on a CPU"),
        (["--output-dir", "/dev/null/out"], 2, "--output-dir: got '/dev/null/out', expected a folder to write to"),
    ],
)
def test_what_cannot_be_is_said_before_any_file(
    folder: Path, tmp_path: Path, words: list[str], code: int, message: str
) -> None:
    ended = local(tmp_path / "scratch", folder / "fala.wav", "-o", tmp_path / "out", *words)
    assert ended.code == code, ended.all
    assert message in ended.err
    assert "Traceback" not in ended.all


def test_missing_programs_are_named(folder: Path, tmp_path: Path) -> None:
    ended = local(tmp_path / "scratch", folder / "fala.wav", PATH=str(tmp_path))
    assert ended.code == 2
    assert "PATH: got no ffmpeg, ffprobe, prlimit, setpriv, expected ffmpeg and util-linux" in ended.err


def test_a_read_only_home_is_enough(folder: Path, tmp_path: Path) -> None:
    """In the image, nothing but the output folder and TMPDIR can be written."""
    words: list[str | Path] = ["--word-timestamps", "-f", "json", "-o", tmp_path / "out", *QUICK]
    ended = local(tmp_path / "scratch", folder / "fala.wav", *words, HOME="/proc/nobody", XDG_CACHE_HOME="")
    assert ended.code == exit_codes.OK, ended.all
    assert set(contents(tmp_path / "out")) == {"fala.json"}
