"""One resource over many files on a cluster: its spec, its pods, and what it wrote."""

from typing import Any

from tests.support.job_namespace import JobNamespace
from tests.support.stack import s3


def over(namespace: JobNamespace, name: str, prefix: str, **changes: Any) -> dict[str, Any]:
    """Return a spec over the recordings below a prefix, for two pods."""
    spec = namespace.spec(name, "unused", parallelism=2, formats=["txt"], **changes)
    spec["source"] = {"s3": s3.s3_object("audio", prefix=prefix)}
    return spec


def pods_that_transcribe(namespace: JobNamespace, name: str) -> list[str]:
    """Return the names of the pods that transcribe."""
    return [
        pod["metadata"]["name"]
        for pod in namespace.pods(name)
        if pod["metadata"]["labels"].get("transcription.dev/phase") == "transcribe"
        and pod["status"].get("phase") == "Running"
    ]


def stored_results(namespace: JobNamespace, name: str) -> dict[str, str]:
    """Return all keys that a resource wrote, with their ETags."""
    pages = namespace.client.get_paginator("list_objects_v2").paginate(
        Bucket="transcripts", Prefix=f"{namespace.name}/{name}/"
    )
    return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}
