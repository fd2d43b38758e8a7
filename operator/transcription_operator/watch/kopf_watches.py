"""Run Kopf as an informer: its watches and their settings, and nothing else of it."""

import itertools
from collections.abc import Iterator

import kopf
from transcription_api import names

from transcription_operator.cluster import PAGE_SIZE
from transcription_operator.config import Config
from transcription_operator.watch.handlers import NoDiffBaseStorage, register_handlers
from transcription_operator.watch.informer import Informer


class EndlessBackoff:
    """Seconds between Kopf's tries of a request, without an end, so that no watch gives up. Each iteration starts anew."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain((0.5, 1, 2, 3, 5, 8), itertools.repeat(10.0))


async def run_watches(config: Config, informer: Informer) -> None:
    """Run Kopf's watches until a signal ends them."""
    await kopf.operator(
        registry=register_handlers(informer),
        settings=_kopf_settings(),
        standalone=True,
        clusterwide=not config.namespaces,
        namespaces=config.namespaces,
    )


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffBaseStorage()
    settings.scanning.disabled = True  # watch neither CRDs nor namespaces: fewer rights, and fewer watches that may die
    settings.networking.error_backoffs = EndlessBackoff()
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = PAGE_SIZE
    settings.watching.label_selectors["batch", "v1", "jobs"] = names.LABEL_UID
    # Kopf keeps a task for each object of a recent event: 5,000 of them at once would take 40 MiB.
    settings.queueing.idle_timeout = 0.1
    return settings
