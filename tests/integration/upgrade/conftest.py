"""Provide the last release, unpacked."""

import pytest

from tests.support.last_release import Release, last_release


@pytest.fixture(scope="session")
def old(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return last_release(tmp_path_factory.mktemp("last-release"))
