"""Requests to the Kubernetes API: no other package knows its client or its paths."""

from transcription_operator.cluster.client import PAGE_SIZE, KubernetesClient
from transcription_operator.cluster.connection import ApiError, Connection, NotLeadingError, UnreachableError, connect
from transcription_operator.cluster.lease import Lease, LeaseLock

__all__ = [
    "PAGE_SIZE",
    "ApiError",
    "Connection",
    "KubernetesClient",
    "Lease",
    "LeaseLock",
    "NotLeadingError",
    "UnreachableError",
    "connect",
]
