"""What S3 servers are known not to do: the tests of tests/integration/worker that fail on them, which docs/s3-servers.md tells."""

import pytest

FILE = "test_s3_server.py::"
KEYS = FILE + "test_a_key_is_found_listed_and_deleted_as_it_was_written"
PATHS = (f"{KEYS}[two slashes]", f"{KEYS}[parent folder]", f"{KEYS}[own folder]")
FOLDER = f"{KEYS}[trailing slash]"
NAME_OF_A_FOLDER = FILE + "test_an_object_has_the_name_of_a_folder"
TOO_LONG = FILE + "test_a_name_that_the_server_finds_too_long_is_told_as_that_of_a_result"
ORDER = FILE + "test_a_listing_goes_on_over_pages_in_the_order_of_bytes"
NO_BUCKET = "test_checkpoint_store.py::test_a_bucket_that_may_not_be_read_or_deleted_from_is_none_either"

# By server, the tests and why they fail. A name without parameters stands for the test with all of them.
LIMITS: dict[str, dict[tuple[str, ...], str]] = {
    "versitygw": {
        PATHS: "a key is a path, and paths are normalized",
        (FOLDER, NAME_OF_A_FOLDER): "a folder is no object with content",
        (TOO_LONG,): "it says that the object is a directory",
    },
    "seaweedfs": {
        (*PATHS, f"{KEYS}[backslash]"): "a key is a path: it is normalized or refused, and a backslash is a slash",
        (FOLDER,): "a folder is no object with content",
        (ORDER,): "a listing goes through one folder after another",
        (NO_BUCKET,): "a write makes a bucket that is missing",
    },
    "s3proxy": {
        PATHS: "a key is a path, and paths are normalized",
        (FOLDER, NAME_OF_A_FOLDER): "a folder is no object with content",
        (f"{KEYS}[a long name]", TOO_LONG): "a long name is an internal error",
        (ORDER,): "a listing is ordered by the units of UTF-16",
    },
    "moto": {
        (f"{KEYS}[newline]",): "control characters are not routed",
        (
            FILE + "test_a_body_that_does_not_match_its_checksum_is_refused",
            FILE + "test_the_checksum_of_a_write_is_kept_for_who_reads",
            "test_bucket.py::test_a_write_is_confirmed_by_what_the_bucket_then_holds",
        ): "checksums are not looked at",
        (
            FILE + "test_wrong_credentials_are_bad_credentials",
            FILE + "test_a_clock_that_is_an_hour_off_is_a_skewed_clock",
            "test_bucket.py::test_credentials_of_each_end_come_from_its_own_folder",
            "test_refusals.py::test_a_wrong_secret_key_is_bad_credentials",
            "test_refusals.py::test_an_unknown_access_key_is_bad_credentials",
        ): "signatures are not looked at",
    },
}


def expect_limits(server: str, items: list[pytest.Item]) -> None:
    """Mark the tests that are known to fail on a server; one that passes all the same fails."""
    known = {test: why for tests, why in LIMITS.get(server, {}).items() for test in tests}
    for item in items:
        test = item.nodeid.rpartition("integration/worker/")[2]
        why = known.get(test, known.get(test.partition("[")[0]))
        if why is not None:
            item.add_marker(pytest.mark.xfail(reason=f"{server}: {why}", strict=True))
