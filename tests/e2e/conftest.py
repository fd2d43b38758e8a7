"""Provide the chart on a cluster, an S3 server in it, and a namespace for each module of tests."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.job_namespace import JobNamespace, namespace_of, stored_inputs
from tests.support.stack.release import READ_NODES, release_values


@pytest.fixture(scope="session")
def values() -> dict[str, Any]:
    """Return the release's Helm values, with images built from the checkout."""
    return release_values() | READ_NODES


@pytest.fixture(scope="session")
def client(values: dict[str, Any]) -> Iterator[Any]:
    """Yield a boto3 client of the S3 server, once the release and the server are ready and hold audio and model."""
    with stored_inputs(values) as client:
        yield client


@pytest.fixture(scope="module")
def namespace(client: Any, request: pytest.FixtureRequest) -> Iterator[JobNamespace]:
    """Yield a restricted namespace with the credentials, for one module of tests."""
    with namespace_of("e2e", client, request.module.__name__, wait=False) as namespace:
        yield namespace
