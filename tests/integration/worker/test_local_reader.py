"""The local command transcribes everything although whoever reads what it says has gone."""

import shlex
import subprocess
from pathlib import Path

from transcription_api import exit_codes

from tests.support.local_command import QUICK, SECONDS, command, environment
from tests.support.speech import noise, write_wav

FILES = 4


def test_behind_head_every_file_is_done_and_the_exit_code_is_that_of_the_files(tmp_path: Path) -> None:
    media, out = tmp_path / "media", tmp_path / "out"
    media.mkdir()
    for number in range(FILES):
        write_wav(media / f"{number}.wav", noise(number, 1.0))
    (media / "minutes.mp3").write_text("Minutes of a meeting, and no recording of it.\n" * 40)
    words = command(media, "--output-dir", out, "--output-format", "txt", "--engine", "openai-whisper", *QUICK)
    shell = f"{{ {shlex.join(words)}; echo $? >{shlex.quote(str(tmp_path))}/code; }} 2>&1 | head -1"
    read = subprocess.run(
        ["bash", "-c", shell],
        # As a user's shell has it: what is left in the buffers would fail at the end of the program.
        env=environment(tmp_path / "scratch", PYTHONUNBUFFERED=""),
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert len(read.stdout.splitlines()) == 1
    assert (tmp_path / "code").read_text() == f"{exit_codes.MEDIA_INVALID}\n"
    assert sorted(path.name for path in out.iterdir()) == [f"{number}.txt" for number in range(FILES)]
    assert list((tmp_path / "scratch").iterdir()) == []
