"""Render the pod of a resource's worker: where it runs, and with what rights."""

from collections.abc import Mapping
from typing import Any

from transcription_api import names
from transcription_api.codec import to_json
from transcription_api.spec import DevicePolicy, Spec

from transcription_operator.config import Config
from transcription_operator.manifests.container import render_container
from transcription_operator.manifests.node_requirements import find_requirements, render_node_affinity
from transcription_operator.manifests.requests_and_limits import GPU_CLAIM, gpu_resource, has_claim
from transcription_operator.manifests.volumes import render_volumes
from transcription_operator.models.objects import Resource
from transcription_operator.worker_settings import GPU_RESOURCE

Manifest = dict[str, Any]


def render_pod_spec(resource: Resource, spec: Spec, config: Config, phase: str | None = None) -> Manifest:
    """The pod's spec. Fields of spec.device take precedence over the settings. `phase` is the Job's.

    The worker's image is the first of the settings'.
    """
    volumes, mounts = render_volumes(spec, config)
    device, worker = spec.device, config.worker
    optional: Mapping[str, Any] = {
        "serviceAccountName": spec.service_account_name,
        "imagePullSecrets": [{"name": name} for name in config.worker_image_pull_secrets],
        "runtimeClassName": device.runtime_class_name or worker.runtime_class_name,
        "priorityClassName": device.priority_class_name or worker.priority_class_name,
        "nodeSelector": worker.node_selector | device.node_selector,
        "affinity": render_node_affinity(find_requirements(spec, config.images[0], config), device.policy),
        "tolerations": _tolerations(spec, config),
        "resourceClaims": _claims(spec),
        "securityContext": {name: value for name, value in worker.pod_security_context.items() if value is not None},
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        # The kubelet would add environment variables for each Service of the namespace, and the worker reads none of them.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": names.TERMINATION_GRACE_SECONDS,
        "containers": [render_container(resource, spec, config, mounts, phase)],
        "volumes": volumes,
        **({} if worker.host_users else {"hostUsers": False}),
        **{name: value for name, value in optional.items() if value},
    }


def _claims(spec: Spec) -> list[Manifest]:
    """Kubernetes makes a claim of the template for each pod, and deletes it with the pod."""
    template = spec.device.resource_claim_template_name
    return [{"name": GPU_CLAIM, "resourceClaimTemplateName": template}] if has_claim(spec) else []


def _tolerations(spec: Spec, config: Config) -> list[Manifest]:
    """What the settings and the spec tolerate, each once, after the taints that GPU nodes often carry.

    Those keep other pods away from the nodes. Where there is no such taint, tolerating it does nothing.
    """
    taints = {} if spec.device.policy is DevicePolicy.CPU else dict.fromkeys((GPU_RESOURCE, gpu_resource(spec, config)))
    found: list[Manifest] = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in taints]
    for item in (*to_json(config.worker.tolerations), *spec.device.tolerations):
        if item not in found:
            found.append(item)
    return found
