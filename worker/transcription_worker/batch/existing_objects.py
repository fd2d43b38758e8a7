"""Find out which of many keys hold an object, with as few requests as the bucket allows."""

import bisect
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.pipeline.s3_report import UNREADABLE
from transcription_worker.storage.bucket import Bucket, ObjectInfo

# HEADs that are sent at the same time.
READERS = 32
# Keys of a page: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
PAGE = 1000
# A LIST costs what twelve HEADs cost (https://aws.amazon.com/s3/pricing/). So no list is begun for fewer keys than this, and
# listing ends once its pages have settled fewer keys than this each, but for the first pages.
WORTH, FIRST_PAGES = 12, 2

# By what servers order a listing: S3 by the bytes of UTF-8, as Python orders texts; those that keep objects in folders by one
# name after another (SeaweedFS, where a/b comes before "a b"); those written in Java by the units of UTF-16 (s3proxy).
ORDERS: tuple[Callable[[str], bytes], ...] = (
    lambda key: key.encode(errors="surrogatepass"),
    lambda key: key.replace("/", "\0").encode(errors="surrogatepass"),
    lambda key: key.encode("utf-16-be", errors="surrogatepass"),
)


def existing_keys(bucket: Bucket, keys: Iterable[str]) -> set[str]:
    """Return those of the keys that hold an object.

    Pages of a listing are asked for from one wanted key to the next, so that what lies in between costs nothing. Where
    few of the keys are on a page, as beside sources in a large bucket, each of the others is asked for, and so is a key that
    the listing may hold elsewhere by one of ORDERS. So n keys cost at most n HEADs and n / WORTH + FIRST_PAGES + 1 LISTs,
    whatever else is in the bucket.

    Raises:
        WorkerError: DestinationDenied, if the bucket may not be listed; EndpointUnreachable and so on.
    """
    wanted, found, unsettled = sorted(set(keys)), set[str](), list[str]()
    position = pages = 0
    while len(wanted) - position >= WORTH and position >= (pages - FIRST_PAGES) * WORTH:
        page = _page(bucket, wanted[position:])
        if page is None:
            break
        pages += 1
        end = len(wanted) if len(page) < PAGE else bisect.bisect_right(wanted, page[-1])
        there = set(wanted[position:end]).intersection(page)
        found |= there
        unsettled += _missed(wanted[position:end], page, there)
        position = end
    return found | _heads(bucket, [*unsettled, *wanted[position:]])


def _missed(asked: Sequence[str], page: Sequence[str], there: set[str]) -> list[str]:
    """Return the keys that are not on the page from the first one on, and that may be on another one by one of ORDERS."""
    missed = set[str]()
    for order in ORDERS:
        first, last = order(asked[0]), order(page[-1]) if len(page) >= PAGE else None
        passed = (key for key in asked if order(key) < first or (last is not None and order(key) > last))
        missed.update(key for key in passed if key not in there)
    return sorted(missed)


def _page(bucket: Bucket, wanted: Sequence[str]) -> list[str] | None:
    """Return the keys from the first of the wanted ones on; None from a server that lists in no order or from the start."""
    after = wanted[0][:-1]  # the greatest text that is known to come before it
    prefix = _common_prefix(wanted[0], wanted[-1])
    page = [item.key for item in itertools.islice(bucket.list(prefix, after), PAGE)]
    in_order = page == sorted(page) and (not page or page[0] > after)
    return page if in_order else None


def _heads(bucket: Bucket, keys: Sequence[str]) -> set[str]:
    with ThreadPoolExecutor(READERS, thread_name_prefix="existing") as threads:
        there = threads.map(lambda key: _exists(bucket, key), keys)
        return {key for key, exists in zip(keys, there, strict=True) if exists}


def _exists(bucket: Bucket, key: str) -> bool:
    try:
        return find_object(bucket, key) is not None
    except WorkerError as error:
        if error.reason in UNREADABLE:
            return False
        raise


def find_object(bucket: Bucket, key: str) -> ObjectInfo | None:
    """Return an object as it is now, or None where there is none.

    Raises:
        WorkerError: DestinationDenied, EndpointUnreachable and so on.
    """
    try:
        return bucket.head(key)
    except WorkerError as error:
        if error.reason is reasons.NO_SUCH_KEY:
            return None
        raise


def _common_prefix(first: str, last: str) -> str:
    """Return what two keys have in common at their start, and all keys that come between them."""
    return first[: next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]
