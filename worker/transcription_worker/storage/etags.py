"""ETags of S3 objects, by which one version of an object is told from another."""


def bare(etag: str) -> str:
    """Return an ETag without its quotes, and without the mark of a weak one."""
    return etag.removeprefix("W/").strip('"')
