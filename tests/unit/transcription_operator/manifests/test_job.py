"""Specs are rendered to Jobs as in tests/data/render. UPDATE=1 writes the outputs anew, to be reviewed in the diff."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from transcription_api import exit_codes
from transcription_api.spec import MAX_SHARDS, parse_spec
from transcription_operator.manifests.job import render_job
from transcription_operator.models.ownership import JOB_NAME_LIMIT, job_name, job_owner

from tests.support.kubernetes_objects import config, resource
from tests.support.many_files import MANY

FOLDER = Path(__file__).parents[4] / "tests/data/render"
CASES = sorted(path.name.removesuffix(".in.yaml") for path in FOLDER.glob("*.in.yaml"))


def rendered(case: str) -> Any:
    given = yaml.safe_load((FOLDER / f"{case}.in.yaml").read_text())
    owner = resource(given["spec"], **given["metadata"])
    settings, phase, shards = config(**given.get("settings", {})), given.get("phase"), given.get("shards", 1)
    return render_job(owner, parse_spec(given["spec"]), given.get("ordinal", 1), settings, phase=phase, shards=shards)


@pytest.mark.parametrize("case", CASES)
def test_a_spec_becomes_the_job_that_is_written_beside_it(case: str) -> None:
    path = FOLDER / f"{case}.out.yaml"
    if os.environ.get("UPDATE"):
        path.write_text(yaml.safe_dump(rendered(case), sort_keys=False, allow_unicode=True, width=120))
    assert rendered(case) == yaml.safe_load(path.read_text())


@pytest.mark.parametrize("case", CASES)
def test_every_worker_meets_the_restricted_standard_and_has_no_token(case: str) -> None:
    pod = rendered(case)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_permanent_exit_codes_fail_the_job_and_disruptions_come_before_them() -> None:
    first, second, _ = rendered("smallest")["spec"]["podFailurePolicy"]["rules"]
    assert (first["action"], first["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (second["action"], set(second["onExitCodes"]["values"])) == ("FailJob", set(exit_codes.PERMANENT))


def test_pods_that_a_suspension_ends_use_up_no_retries() -> None:
    rules = rendered("smallest")["spec"]["podFailurePolicy"]["rules"]
    ignored = [rule for rule in rules if rule["action"] == "Ignore"]
    codes = [rule["onExitCodes"]["values"] for rule in ignored if "onExitCodes" in rule]
    assert codes == [[exit_codes.INTERRUPTED]]
    conditions = [item for rule in ignored for item in rule.get("onPodConditions", ())]
    assert {"type": "PodScheduled", "status": "False"} in conditions


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_a_phase_without_a_model_takes_no_gpu_from_anybody_and_waits_in_no_queue(phase: str) -> None:
    job = rendered(f"many-files-{phase}")
    pod = job["spec"]["template"]["spec"]
    assert "nvidia.com/gpu" not in str(pod)
    assert not {"nodeSelector", "runtimeClassName"} & set(pod)
    assert (job["spec"]["completions"], job["spec"].get("suspend")) == (1, None)


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_a_phase_without_a_model_may_go_where_the_settings_and_the_spec_let_any_pod_go(phase: str) -> None:
    """Where all nodes are tainted, or some run another system, its pod would find no node or the wrong one."""
    gpus = {"key": "nvidia.com/gpu", "operator": "Exists"}
    team, spot = ({"key": key, "operator": "Exists"} for key in ("team", "spot"))
    worker = {"nodeSelector": {"kubernetes.io/os": "linux", "pool": "gpus"}, "tolerations": [spot, gpus]}
    selector = {"kubernetes.io/arch": "amd64", "nvidia.com/gpu.product": "NVIDIA-L4"}
    spec = MANY | {"device": {"nodeSelector": selector, "tolerations": [team, gpus]}}
    pod = render_job(resource(spec), parse_spec(spec), 1, config(worker=json.dumps(worker)), phase=phase)
    found = pod["spec"]["template"]["spec"]
    assert found["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    assert found["tolerations"] == [spot, team]


@pytest.mark.parametrize("phase", ["plan", "collect"])
def test_a_phase_without_a_model_has_the_limits_that_a_quota_may_ask_of_every_pod(phase: str) -> None:
    own = {"limits": {"cpu": "2", "memory": "64Gi"}, "requests": {"cpu": "2"}}
    spec = MANY | {"device": {"resources": own}}
    settings = config(worker_resources=json.dumps({"limits": {"cpu": "8", "ephemeral-storage": "30Gi"}}))
    pod = render_job(resource(spec), parse_spec(spec), 1, settings, phase=phase)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "2", "ephemeral-storage": "30Gi", "memory": "4Gi"},
    }


def test_one_shard_that_fails_again_and_again_stops_no_other() -> None:
    spec = rendered("many-files-transcribe")["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 60, 8)
    assert (spec["backoffLimitPerIndex"], spec.get("maxFailedIndexes")) == (2, None)
    assert spec["podFailurePolicy"] == rendered("smallest")["spec"]["podFailurePolicy"]


@pytest.mark.parametrize("name", ["a", "a.b.c", "x" * 253, "x" * 40 + "." + "y" * 40])
def test_a_jobs_name_is_a_dns_label_whatever_the_resources_name(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", job_name(resource({}, name=name).owner, 9999))
    assert len(job_name(resource({}, name=name).owner, 9999)) <= JOB_NAME_LIMIT


@pytest.mark.parametrize("name", ["a", "x" * 253, "x" * 40 + "." + "y" * 40])
def test_the_hostnames_of_a_jobs_pods_are_dns_labels_however_many_shards_there_are(name: str) -> None:
    """Kubernetes refuses the Job otherwise: a pod's hostname is the Job's name, a hyphen and the index of its shard."""
    job = render_job(resource(MANY, name=name), parse_spec(MANY), 9999, config(), phase="transcribe", shards=MAX_SHARDS)
    assert len(f"{job['metadata']['name']}-{job['spec']['completions'] - 1}") <= JOB_NAME_LIMIT
    assert job_owner(job["metadata"]) == resource(MANY, name=name).owner


def test_resources_whose_names_are_cut_alike_get_jobs_of_different_names() -> None:
    one, other = (resource({}, name="x" * 100 + end, uid=end) for end in "ab")
    assert job_name(one.owner, 1) != job_name(other.owner, 1)
    assert job_name(one.owner, 1) != job_name(one.owner, 2)
