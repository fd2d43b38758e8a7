"""The page about S3 servers names those that are run, at their versions, and each thing that one is known not to do."""

import re

import pytest

from hack.cluster import store
from tests.support.repository import ROOT
from tests.support.s3_limits import LIMITS
from tests.support.s3_servers import SERVERS

TEXT = (ROOT / "docs/s3-servers.md").read_text()
TABLE = dict(re.findall(r"^\| (versitygw|SeaweedFS|s3proxy|moto)\b[^|]*\| (\S+) \|", TEXT, re.M))


def test_the_page_has_each_server_at_the_version_that_is_run() -> None:
    versions = store.versions()
    assert {name.lower(): version for name, version in TABLE.items()} == {
        name: versions[name.upper()] for name in SERVERS
    }


def test_make_runs_all_servers_but_the_one_of_all_other_tests() -> None:
    (named,) = re.findall(r"^test-s3-servers: SERVERS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert {*named.split(), "versitygw"} == set(SERVERS)


@pytest.mark.parametrize("server", LIMITS)
def test_a_limit_is_of_a_server_that_is_run_and_of_a_test_that_exists(server: str) -> None:
    assert server in SERVERS
    for test in (test for group in LIMITS[server] for test in group):
        file, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}(" in (ROOT / "tests/integration/worker" / file).read_text()
