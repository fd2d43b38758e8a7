"""Render the Job that deletes the results of a resource once that is gone or has to go."""

from typing import Any

from transcription_api import names
from transcription_api.spec import Spec

from transcription_operator.config import Config
from transcription_operator.manifests.job import render_job
from transcription_operator.models.objects import Resource
from transcription_operator.models.ownership import DELETION_ORDINAL

# Tries, of which the Job controller makes one in 10 minutes in the long run: an S3 server may be down for some hours.
BACKOFF_LIMIT = 50
# Seconds that a Job stays that has failed, a week: it is all that tells of results that are left. One that has succeeded is
# deleted at once.
TTL_SECONDS = 7 * 86400
# Velero's label. A Job that is restored from a backup belongs to a resource that got another uid, and would delete the results
# of one that is still there elsewhere.
NO_BACKUP = {"velero.io/exclude-from-backup": "true"}


def render_deletion_job(resource: Resource, spec: Spec, config: Config) -> dict[str, Any]:
    """The manifest of the Job, which runs no pod until its parallelism is raised to 1.

    It has no owner, so that it is still there when the resource is not. It is not suspended, since a queue such as Kueue would
    resume it: a parallelism of 0 is nobody else's to change.
    """
    manifest = render_job(resource, spec, DELETION_ORDINAL, config, phase=names.PHASE_DELETE)
    del manifest["metadata"]["ownerReferences"]
    manifest["metadata"]["labels"] |= NO_BACKUP
    manifest["spec"].pop("activeDeadlineSeconds", None)
    manifest["spec"] |= {
        "parallelism": 0,
        "backoffLimit": BACKOFF_LIMIT,
        "ttlSecondsAfterFinished": TTL_SECONDS,
    }
    return manifest
