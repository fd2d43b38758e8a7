"""Provide helm without a cluster."""

import pytest

from tests.support.helm import Helm


@pytest.fixture(scope="session")
def helm() -> Helm:
    return Helm()
