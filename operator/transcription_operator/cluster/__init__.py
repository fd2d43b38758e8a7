"""The Kubernetes API: the only place that knows its client and its paths."""

from transcription_operator.cluster.client import Cluster
from transcription_operator.cluster.connection import ApiError, Connection, NotLeadingError, UnreachableError, connect
from transcription_operator.cluster.lease import Lease, LeaseApi

__all__ = [
    "ApiError",
    "Cluster",
    "Connection",
    "Lease",
    "LeaseApi",
    "NotLeadingError",
    "UnreachableError",
    "connect",
]
