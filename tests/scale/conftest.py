"""Provide the chart on the kind cluster, and an S3 server in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.job_namespace import stored_inputs
from tests.support.stack.release import release_values


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """Yield a boto3 client of the S3 server, once the release and the server are ready and hold the model."""
    with stored_inputs(release_values()) as client:
        yield client
