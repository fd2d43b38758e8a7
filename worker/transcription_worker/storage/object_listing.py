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

    Older versions of Ceph's gateway and Huawei's OBS answer ListObjectsV2 as if it were ListObjects: they say that there is
    more, and give no token. Such a listing goes on by Marker, which `page_of` takes to list_objects.

    Raises:
        WorkerError: EndpointUnreachable, if the listing does not go on: the rest of the bucket would be left out.
    """
    options = {"StartAfter": after} if after else {}
    while True:
        page = page_of(options)
        items = page.get("Contents", ())
        for item in items:
            yield ListedObject(item["Key"], int(item["Size"]), bare(item.get("ETag", "")), item["LastModified"])
        if not page.get("IsTruncated"):
            return
        token, last = page.get("NextContinuationToken"), items[-1]["Key"] if items else ""
        following = {"ContinuationToken": token} if token else {"Marker": last}
        if following == options or not (token or last):
            words = (
                "goes on with the same page for ever" if token or last else "names no next page, though there is one"
            )
            raise WorkerError(reasons.ENDPOINT_UNREACHABLE, f"{where}: the listing {words}: check endpointURL")
        options = following
