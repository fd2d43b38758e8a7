"""Lines about files reach any stream, and no stream that fails ends the run."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transcription_worker.local.display import Display
from transcription_worker.local.progress import FilesProgress

# Says something again and again, as a run over many files does, and ends as the program does.
TALKATIVE = """
import sys
from transcription_worker.local.display import Display
from transcription_worker.local.progress import FilesProgress
display = Display(FilesProgress([1]), 1)
for number in range(2000):
    display.say("done " * 20)
    display.draw(at_once=True)
open(sys.argv[1], "w").write("all said")
sys.exit(67)
"""


def test_a_name_with_line_ends_escapes_or_bytes_that_are_no_text_is_shown_escaped(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = os.fsdecode(b"caf\xe9") + "\x1b[2J\nfailed\u202e.wav"
    Display(FilesProgress([]), 0).say(f"done     {name}: ok")
    assert capsys.readouterr().out == "done     caf\\xe9\\x1b[2J\\nfailed\\u202e.wav: ok\n"


@pytest.mark.parametrize("shell", ["{} 2>&1 | head -1", "{} >&- 2>&-", "{} >/dev/full 2>&1", "{} 2>&1 | true"])
def test_a_reader_that_has_gone_or_a_full_disk_does_not_end_the_run(tmp_path: Path, shell: str) -> None:
    program, said = tmp_path / "talk.py", tmp_path / "said"
    program.write_text(TALKATIVE)
    line = shell.format(f"{{ {sys.executable} {program} {said}; echo $? >{tmp_path}/code; }}")
    # As a user's shell has it: what is left in the buffers would fail at the end of the program.
    environment = os.environ | {"PYTHONUNBUFFERED": ""}
    subprocess.run(["bash", "-c", line], check=False, stdout=subprocess.PIPE, timeout=60, env=environment)
    assert said.exists()
    assert (tmp_path / "code").read_text() == "67\n"


def test_a_bar_on_a_terminal_that_was_closed_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        display = Display(FilesProgress([1]), 1)
        with display.shown():
            os.close(ours)
            display.say("done")
            display.draw(at_once=True)


def test_what_an_encoding_lacks_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    from transcription_worker.main import escape_what_no_stream_holds

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    escape_what_no_stream_holds()
    Display(FilesProgress([]), 0).say("done     café.wav")
    assert raw.getvalue() == b"done     caf\\xe9.wav\n"
