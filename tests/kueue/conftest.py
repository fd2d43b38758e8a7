"""Provide Kueue beside the chart on the kind cluster, and an S3 server in it; Kueue is removed afterwards."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.job_namespace import JobNamespace, namespace_of, stored_inputs
from tests.support.stack.kueue import ensure_kueue, remove_kueue
from tests.support.stack.release import release_values


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """Yield a boto3 client of the S3 server, once the release and the server are ready, and Kueue after them."""
    with stored_inputs(release_values()) as client:
        try:
            ensure_kueue()
            yield client
        finally:
            remove_kueue()


@pytest.fixture(scope="module")
def namespace(client: Any, request: pytest.FixtureRequest) -> Iterator[JobNamespace]:
    """Yield a restricted namespace with the credentials, for one module of tests."""
    # Removed while Kueue is there to take its finalizers from the workloads.
    with namespace_of("kueue", client, request.module.__name__, wait=True) as namespace:
        yield namespace
