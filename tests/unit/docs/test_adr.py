"""The index of the architecture decision records is complete, and every record has a status."""

import re
from pathlib import Path

import pytest

from tests.support.repository import ROOT

FOLDER = ROOT / "docs/adr"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
STATUS = re.compile(r"^Status: ((?:proposed|accepted|rejected|deprecated|superseded by (\d{4}))\b.*)$", re.MULTILINE)
HEADING = re.compile(r"# (\d{4})\. (.+)")


def heading(path: Path) -> tuple[str, str]:
    """Return the number and the title of a record."""
    found = HEADING.match(path.read_text())
    assert found is not None, "expected a heading such as # 0001. A decision"
    return found[1], found[2]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_has_its_files_number_and_a_status(path: Path) -> None:
    assert heading(path)[0] == path.name[:4]
    statuses = STATUS.findall(path.read_text())
    assert len(statuses) == 1
    replaced_by = statuses[0][1]
    assert not replaced_by or list(FOLDER.glob(f"{replaced_by}-*.md"))


def test_the_index_lists_every_record_with_its_title_and_status() -> None:
    rows = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \| (.+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    expected = []
    for path in RECORDS:
        number, title = heading(path)
        [(status, _)] = STATUS.findall(path.read_text())
        expected.append((number, path.name, title, status))
    assert rows == expected
