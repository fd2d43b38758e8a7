"""Kubernetes accepts the Jobs that the operator renders for the longest names and the most shards."""

import pytest
from transcription_api.spec import MAX_SHARDS, parse_spec
from transcription_operator.manifests.job import render_job

from tests.support.kubectl import Kubectl
from tests.support.kubernetes_objects import config, resource
from tests.support.many_files import MANY


@pytest.mark.parametrize("ordinal", [2, 9999])
def test_a_job_with_the_most_shards_of_a_resource_with_the_longest_name_is_accepted(
    kubectl: Kubectl, ordinal: int
) -> None:
    owner = resource(MANY, name="r" * 253, namespace="default")
    job = render_job(owner, parse_spec(MANY), ordinal, config(), phase="transcribe", shards=MAX_SHARDS)
    assert kubectl("create", "--dry-run=server", "-o", "name", "-f", "-", given=job).stdout.startswith("job.batch/")
