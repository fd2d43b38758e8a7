"""Set up Kopf's watches. The handlers only pass objects on: no finalizers, no annotations, no patches.

They get the objects of the lists with which watches begin; `kopf_session` takes the events that follow.
"""

from typing import Any

import aiohttp
import kopf
from transcription_api import names

from transcription_operator.watch.informer import Informer
from transcription_operator.watch.kopf_session import KopfSession


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
    async def login(**kwargs: Any) -> kopf.AiohttpSession:
        return _log_in(informer, **kwargs)

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)
    async def on_resource_event(event: kopf.RawEvent, **_: Any) -> None:
        informer.on_resource_event(event["type"], event["object"])

    @kopf.on.event("batch", "v1", "jobs", labels={names.LABEL_UID: kopf.PRESENT}, registry=registry)
    async def on_job_event(event: kopf.RawEvent, **_: Any) -> None:
        informer.on_job_event(event["type"], event["object"])

    return registry


def _log_in(informer: Informer, **kwargs: Any) -> kopf.AiohttpSession:
    """Log in with the pod's service account, or with the kubeconfig outside a cluster, to a session that survives faults.

    The credentials are read for each request: those of a pod change every hour.

    Raises:
        kopf.LoginError: there are none.
    """

    def read_credentials() -> kopf.ConnectionInfo:
        found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        if found is None:
            raise kopf.LoginError("neither a service account nor a kubeconfig")
        return found

    info = read_credentials()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        proxy=info.proxy_url,
        middlewares=(KopfSession(lambda: read_credentials().as_http_headers(), informer.take),),
    )
    return kopf.AiohttpSession(server=info.server, aiohttp_session=session, default_namespace=info.default_namespace)
