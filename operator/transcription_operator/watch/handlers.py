"""Kopf's part: watches. Its handlers hand bodies on and do nothing else: no finalizers, no annotations, no patches."""

from typing import Any

import kopf
from transcription_api import names

from transcription_operator.watch.informer import Intake


class NoMemory(kopf.DiffBaseStorage):
    """Kopf keeps and compares no earlier state of an object: handlers of events need none, and it would be four copies each."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


def register_handlers(intake: Intake) -> kopf.OperatorRegistry:
    """Event handlers alone: Kopf calls them for each event and keeps no state of its own in the objects."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def see_resource(event: kopf.RawEvent, **_: Any) -> None:
        intake.watch_resource(event["type"], event["object"])

    @kopf.on.event("batch", "v1", "jobs", labels={names.LABEL_UID: kopf.PRESENT}, registry=registry)
    async def see_job(event: kopf.RawEvent, **_: Any) -> None:
        intake.watch_job(event["type"], event["object"])

    return registry
