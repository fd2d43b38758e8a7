"""Provide an apiserver that all tests share, an operator for each module, and a namespace for each test."""

import itertools
from collections.abc import Iterator

import pytest

from tests.support.controlplane import ControlPlane, control_plane
from tests.support.operator_process import ACCOUNT, NAMESPACED, Operator, grant_rights, running_operator
from tests.support.simulated_cluster import Namespace

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("plane"), {ACCOUNT: ACCOUNT, NAMESPACED: NAMESPACED}) as started:
        grant_rights(started)
        yield started


@pytest.fixture(scope="module")
def operator(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    options = {
        "allowed_endpoints": "*.amazonaws.com,s3.allowed",
        "worker_resources": '{"limits": {"memory": "4Gi"}}',
        "lease_seconds": 15,  # as the chart has it: one that is lost ends the program, and nobody starts it again here
    }
    with running_operator(plane, log, **options) as started:
        yield started
        text = log.read_text()
    assert "Traceback" not in text, text[-4000:]


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[Namespace]:
    api = plane.api()
    yield Namespace(api, f"test-{next(_numbers)}")
    api.close()
