"""The page has every option of the local command, as the parser has it."""

import re

import pytest
from transcription_worker.local.options import GROUPS, Flag, spell_with_dashes
from transcription_worker.local.plan import make_plan
from transcription_worker.main import make_parser

from tests.support.repository import ROOT

TEXT = (ROOT / "docs/local.md").read_text()
FLAGS = {flag.name: flag for flags in GROUPS.values() for flag in flags}


def row(flag: Flag) -> str:
    names = f"`--{flag.name}`" + (f", `{flag.short}`" if flag.short else "")
    default = "" if flag.default is None or flag.switch else f"`{flag.default}`"
    one_of = "; one of " + ", ".join(f"`{choice}`" for choice in flag.choices) if flag.choices else ""
    return f"| {names} | {default} | {flag.help}{one_of} |"


@pytest.mark.parametrize("name", FLAGS)
def test_the_page_has_each_option_with_its_default_and_meaning(name: str) -> None:
    assert row(FLAGS[name]) in TEXT.splitlines()


def test_the_page_has_no_option_that_the_command_has_not() -> None:
    assert re.findall(r"^\| `--([a-z0-9-]+)`", TEXT, re.M) == list(FLAGS)
    named = set(re.findall(r"`--([a-z0-9-]+)`", TEXT)) | set(
        re.findall(r"--([a-z]+(?:-[a-z]+)*)", TEXT.split("## Options")[0])
    )
    assert named - set(FLAGS) <= {"rm", "gpus", "user", "read-only", "tmpfs", "verbose"}


@pytest.mark.parametrize("page", ["docs/local.md", "README.md"])
def test_the_commands_shown_are_understood(page: str) -> None:
    text = (ROOT / page).read_text()
    shown = re.findall(r"^(?:uv run transcription-worker|  IMAGE) local (.*)$", text, re.M)
    assert shown
    for words in shown:
        parsed = make_parser().parse_args(spell_with_dashes(["local", *words.split()]))
        assert str(make_plan(parsed).output_dir) == "transcripts"
