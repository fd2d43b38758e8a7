"""The page on media files lists the formats that are read."""

import re

from transcription_worker.media.reading import FORMATS

from tests.support.repository import ROOT


def test_the_page_lists_every_format_and_no_other() -> None:
    text = (ROOT / "docs/media.md").read_text()
    listed = re.search(r"names for them:\n\n(.*?)\n\n", text, re.S)
    assert listed is not None
    assert listed[1].split() == FORMATS
