"""Read and write a coordination.k8s.io Lease. Each write sends the resourceVersion, so that one of two writers wins."""

from dataclasses import dataclass

from transcription_operator.cluster.connection import ApiError, Connection, Json

LEASES = "/apis/coordination.k8s.io/v1"


@dataclass(frozen=True)
class Lease:
    """The fields that leader election needs."""

    holder: str  # holderIdentity; empty after the leader released the lease
    renewed: str  # renewTime, RFC 3339 with microseconds
    transitions: int  # how often the holder has changed
    version: str | None  # resourceVersion; None if the Lease does not exist yet
    seconds: int = 0  # leaseDurationSeconds, the holder's; 0 if the Lease does not say


class LeaseLock:
    """One Lease, as client-go's resourcelock.LeaseLock."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name

    async def read(self) -> Lease:
        """The Lease as stored. One that does not exist has no holder and no version."""
        try:
            body = await self._connection.request("GET", self._path(self._name))
        except ApiError as error:
            if error.not_found:
                return Lease("", "", 0, None)
            raise
        return _view(body)

    async def write(self, lease: Lease, seconds: int) -> Lease | None:
        """Write the Lease for a duration in seconds. Returns it as stored, or None if somebody else wrote it in between."""
        method, path = ("POST", self._path()) if lease.version is None else ("PUT", self._path(self._name))
        try:
            return _view(await self._connection.request(method, path, self._body(lease, seconds)))
        except ApiError as error:
            if error.conflict:
                return None
            raise

    def _path(self, *name: str) -> str:
        return "/".join((f"{LEASES}/namespaces/{self._namespace}/leases", *name))

    def _body(self, lease: Lease, seconds: int) -> Json:
        version = {} if lease.version is None else {"resourceVersion": lease.version}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._namespace, "name": self._name} | version,
            "spec": {
                "holderIdentity": lease.holder,
                "leaseDurationSeconds": seconds,
                "renewTime": lease.renewed,
                "leaseTransitions": lease.transitions,
            },
        }


def _view(body: Json) -> Lease:
    spec = body.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        version=body["metadata"]["resourceVersion"],
        seconds=spec.get("leaseDurationSeconds") or 0,
    )
