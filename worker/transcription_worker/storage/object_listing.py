"""Go through the pages of a listing, and notice one that would leave out objects or never end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transcription_api import reasons

from transcription_worker.errors import WorkerError
from transcription_worker.storage.etags import bare


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing shows it. `etag` is empty where the server does not tell it there."""

    key: str
    size: int
    etag: str
    modified: datetime


def list_objects(
    page_of: Callable[[dict[str, str]], dict[str, Any]], where: str, after: str = ""
) -> Iterator[ListedObject]:
    """Yield the objects of all pages. `page_of` asks for a page by arguments of list_objects_v2; `where` is for messages.

    Raises:
        WorkerError: EndpointUnreachable, if the server does not say how the listing goes on, or says it twice.
    """
    options, token = {"StartAfter": after} if after else {}, None
    while True:
        page = page_of(options)
        for item in page.get("Contents", ()):
            yield ListedObject(item["Key"], int(item["Size"]), bare(item.get("ETag", "")), item["LastModified"])
        if not page.get("IsTruncated"):
            return
        last, token = token, page.get("NextContinuationToken")
        if not token or token == last:
            words = "names no next page, though there is one" if not token else "goes on with the same page for ever"
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{where}: the listing {words}: check endpointURL")
        options = {"ContinuationToken": token}
