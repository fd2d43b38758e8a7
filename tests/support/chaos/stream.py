"""A steady stream of TranscriptionJobs of several kinds, and the end that each of them must come to."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.chaos.fault import REQUEST_SECONDS, kubectl_soon
from tests.support.job_namespace import ENDED, ON_GPU_NODE, JobNamespace
from tests.support.stack.kube import CommandError, run

# Resources that have not ended, at any time. More would only wait for the two cores that all nodes share.
LIVE = 3
FORMATS = ["txt", "srt"]
# The most that a spec may ask for: more than the faults of one run use up, so that a resource that runs out is a finding.
RETRIES = 10
# Less than the worker's interpreter with torch takes.
TOO_LITTLE_MEMORY = "96Mi"


@dataclass(frozen=True)
class Kind:
    """A kind of resource: what it reads, what its spec says besides, and the reason that it must fail with, if any."""

    name: str
    key: str = "english.wav"
    changes: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    suspended: bool = False  # created suspended, and resumed as soon as it is seen to be
    share: int = 1  # how often it is drawn, beside the others


def _device(**more: Any) -> dict[str, Any]:
    return {"device": {"policy": "CPU", **ON_GPU_NODE, **more}}


OUT_OF_MEMORY = _device(resources={"requests": {"memory": TOO_LITTLE_MEMORY}, "limits": {"memory": TOO_LITTLE_MEMORY}})
KINDS = (
    Kind("english", share=4),
    Kind("portuguese", "portuguese.wav", share=2),
    Kind("minutes", "minutes.wav", share=4),
    Kind("gpu-preferred", changes={"device": {"policy": "PreferGPU"}}, share=2),
    Kind("suspended", suspended=True),
    Kind("no-such-key", "no/such.wav", reason="NoSuchKey"),
    Kind("out-of-memory", changes={**OUT_OF_MEMORY, "retries": 1}, reason="OutOfMemory"),
)


class Stream:
    """Creates resources while fewer than LIVE have not ended. The API server may be away at any time."""

    def __init__(self, namespace: JobNamespace, draw: random.Random) -> None:
        self._namespace = namespace
        self._draw = draw
        self.kinds: dict[str, Kind] = {}  # by the resource's name

    def manifest(self, name: str, kind: Kind) -> dict[str, Any]:
        """Return the manifest of one resource."""
        changes = {"formats": FORMATS, "retries": RETRIES, "suspend": kind.suspended, **kind.changes}
        return self._namespace.manifest(name, self._namespace.spec(name, kind.key, **changes))

    def tick(self) -> None:
        """Look at all resources, resume what is suspended, and create another resource if few are left."""
        try:
            resources = self.resources()
            for name, resource in resources.items():
                if resource.get("status", {}).get("phase") == "Suspended":
                    self._resume(name)
            live = [name for name in self.kinds if _phase(resources.get(name)) not in ENDED]
            if len(live) < LIVE:
                self._create()
        except CommandError as error:
            if "is invalid" in str(error):
                raise
            # Otherwise the API server is away, and the next call looks again.

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return all resources of the stream's namespace by name."""
        listed = _kubectl("get", "tj", "-n", self._namespace.name, "-o", "json")
        return {item["metadata"]["name"]: item for item in json.loads(listed)["items"]}

    def finish(self) -> None:
        """Create what the last calls could not, and resume what is suspended, now that the API server is there."""
        for name, kind in self.kinds.items():
            manifest = self.manifest(name, kind)
            manifest["spec"]["suspend"] = False
            kubectl_soon("apply", "--server-side", "--force-conflicts", "-f", "-", text=json.dumps(manifest))

    def _resume(self, name: str) -> None:
        patch = '{"spec": {"suspend": false}}'
        _kubectl("patch", "tj", name, "-n", self._namespace.name, "--type=merge", "-p", patch)

    def _create(self) -> None:
        kind = self._draw.choices(KINDS, [kind.share for kind in KINDS])[0]
        name = f"{kind.name}-{len(self.kinds):03}"
        self.kinds[name] = kind  # before the request, whose answer may be lost although it was carried out
        _kubectl("apply", "--server-side", "-f", "-", text=json.dumps(self.manifest(name, kind)))


def _phase(resource: dict[str, Any] | None) -> str | None:
    phase: str | None = (resource or {}).get("status", {}).get("phase")
    return phase


def _kubectl(*words: str, text: str | None = None) -> str:
    return run("kubectl", f"--request-timeout={REQUEST_SECONDS}s", *words, text=text)
