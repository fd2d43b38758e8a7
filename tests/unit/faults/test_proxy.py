"""The proxy knows which answers may be older than what is stored."""

import pytest

from tests.faults.proxy import Request

LIST = "/apis/batch/v1/jobs?limit=500"


@pytest.mark.parametrize(
    ("path", "stale"),
    [
        (LIST, False),
        (f"{LIST}&continue=abc", False),
        (f"{LIST}&resourceVersion=0", True),
        (f"{LIST}&resourceVersion=7&resourceVersionMatch=NotOlderThan", True),
        ("/apis/batch/v1/jobs?watch=true", False),
        ("/apis/batch/v1/jobs?watch=true&resourceVersion=7", False),
        ("/apis/batch/v1/jobs?watch=true&resourceVersion=0", True),
        ("/apis/batch/v1/namespaces/team-a/jobs/a", False),
        ("/apis/batch/v1/namespaces/team-a/jobs/a?resourceVersion=0", True),
    ],
)
def test_a_request_that_a_cache_may_answer_with_an_older_version_is_told(path: str, stale: bool) -> None:
    assert Request("GET", path, b"", {}).may_be_stale == stale
