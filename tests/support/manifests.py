"""Make manifests of TranscriptionJobs as a user writes them."""

from typing import Any

S3 = {"bucket": "audio", "key": "interviews/01.wav"}


def job(**spec: Any) -> dict[str, Any]:
    """Return the smallest manifest; `spec` adds fields to its spec or replaces them."""
    return {
        "apiVersion": "transcription.dev/v1alpha1",
        "kind": "TranscriptionJob",
        "metadata": {"generateName": "case-"},
        "spec": {
            "source": {"s3": S3},
            "destination": {"s3": {"bucket": "transcripts", "prefix": "interviews/01/"}},
            **spec,
        },
    }
