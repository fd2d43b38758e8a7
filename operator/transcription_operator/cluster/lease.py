"""A coordination.k8s.io Lease, read and written with its resourceVersion, so that of two writers one wins."""

from dataclasses import dataclass

from transcription_operator.cluster.connection import ApiError, Connection, Json

LEASES = "/apis/coordination.k8s.io/v1"


@dataclass(frozen=True)
class Lease:
    """`holder` is empty where the lease was given back; `version` is None where there is none yet."""

    holder: str
    renewed: str
    transitions: int
    version: str | None


class LeaseApi:
    """One Lease."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name

    async def read(self) -> Lease:
        try:
            body = await self._connection.request("GET", self._path(self._name))
        except ApiError as error:
            if error.not_found:
                return Lease("", "", 0, None)
            raise
        return _view(body)

    async def write(self, lease: Lease, seconds: int) -> Lease | None:
        """The lease as stored; None where somebody else was faster."""
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
    )
