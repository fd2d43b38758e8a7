"""The chaos test notices each way in which a resource can be lost."""

from typing import Any

import pytest

from tests.support.chaos.findings import wrong_resources
from tests.support.chaos.stream import FORMATS, KINDS, Kind
from tests.support.job_namespace import JobNamespace

BY_NAME = {kind.name: kind for kind in KINDS}
EXPECTED = {"english.wav": dict.fromkeys(FORMATS, "as spoken")}


class Results(JobNamespace):
    """A namespace whose results all have one text."""

    def __init__(self, said: str) -> None:
        super().__init__("chaos", None)
        self._said = said

    def text(self, key: str) -> str:
        """Return the text of every key."""
        return self._said


def found(kind: Kind, resource: dict[str, Any] | None, said: str = "as spoken") -> str:
    """Return what is found about one resource of this kind."""
    resources = {} if resource is None else {"one": resource}
    return "\n".join(wrong_resources(Results(said), {"one": kind}, resources, EXPECTED))


def ended(phase: str, reason: str | None = None) -> dict[str, Any]:
    """Return a resource with this phase and reason of failure."""
    return {"status": {"phase": phase} | ({"failure": {"reason": reason}} if reason else {})}


def test_nothing_is_found_where_each_resource_came_to_its_end() -> None:
    assert not found(BY_NAME["english"], ended("Complete"))
    assert not found(BY_NAME["no-such-key"], ended("Failed", "NoSuchKey"))


@pytest.mark.parametrize(
    ("kind", "resource", "said", "words"),
    [
        ("english", None, "as spoken", "lost"),
        ("english", {}, "as spoken", "stuck"),
        ("english", ended("Running"), "as spoken", "stuck"),
        ("english", ended("Failed", "WorkerFailed"), "as spoken", "ended with WorkerFailed, expected None"),
        ("english", ended("Complete"), "half of it", "its text is not that of the undisturbed run"),
        ("no-such-key", ended("Complete"), "as spoken", "expected NoSuchKey"),
        ("out-of-memory", ended("Failed", "Interrupted"), "as spoken", "expected OutOfMemory"),
    ],
)
def test_what_ended_otherwise_is_named(kind: str, resource: dict[str, Any] | None, said: str, words: str) -> None:
    assert words in found(BY_NAME[kind], resource, said)
