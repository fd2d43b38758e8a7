"""The page has every option of the local command, as the parser has it."""

import re

import pytest
from transcription_worker.local.options import GROUPS, spell_with_dashes
from transcription_worker.local.plan import make_plan
from transcription_worker.main import make_parser

from hack.docs.local import render_local
from tests.support.repository import ROOT

TEXT = (ROOT / "docs/local.md").read_text()
FLAGS = {flag.name: flag for flags in GROUPS.values() for flag in flags}


def test_the_tables_are_as_make_docs_writes_them() -> None:
    assert render_local(TEXT) == TEXT


def test_a_page_without_the_places_of_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="got a page without its comments"):
        render_local("# Without a cluster")


@pytest.mark.parametrize("name", FLAGS)
def test_the_page_has_each_option_with_its_default_its_meaning_and_its_choices(name: str) -> None:
    flag = FLAGS[name]
    (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `--{name}`")]
    _, spellings, default, meaning, _ = row.split("|")
    assert (f"`{flag.short}`" in spellings) is (flag.short is not None)
    assert default.strip(" `") == ("" if flag.default is None or flag.switch else str(flag.default))
    assert meaning.startswith(f" {flag.help}")
    assert all(f"`{choice}`" in meaning for choice in flag.choices)


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
