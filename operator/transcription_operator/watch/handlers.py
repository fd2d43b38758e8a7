"""Set up Kopf's watches. The handlers only pass objects on: no finalizers, no annotations, no patches."""

from typing import Any

import kopf
from transcription_api import names

from transcription_operator.watch.informer import Informer


class NoDiffBaseStorage(kopf.DiffBaseStorage):
    """Store no earlier state of an object: event handlers do not need one, and Kopf would make four copies of each object."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def register_handlers(informer: Informer) -> kopf.OperatorRegistry:
    """Register event handlers only: for these Kopf keeps no state of its own in the objects."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_resource_event(event: kopf.RawEvent, **_: Any) -> None:
        informer.on_resource_event(event["type"], event["object"])

    @kopf.on.event("batch", "v1", "jobs", labels={names.LABEL_UID: kopf.PRESENT}, registry=registry)
    async def on_job_event(event: kopf.RawEvent, **_: Any) -> None:
        informer.on_job_event(event["type"], event["object"])

    return registry
