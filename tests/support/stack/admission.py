"""Policies that change what the API server admits, as meshes and quotas of real clusters do."""

import json
from typing import Any

from transcription_api import names

from tests.support.stack.kube import apply, kubectl, until

# On every node of the test cluster, since the kubelet starts each pod with it; it runs until it gets SIGTERM.
PAUSE_IMAGE = "registry.k8s.io/pause:3.10.2"
# In seconds, until the API server has read a new policy.
POLICY_SECONDS = 60
# In CEL. The security context is what the restricted Pod Security Standard asks of a container.
SIDECAR = f"""
[JSONPatch{{op: "add", path: "/spec/containers/-", value: Object.spec.containers{{
  name: "sidecar", image: "{PAUSE_IMAGE}", imagePullPolicy: "IfNotPresent",
  securityContext: Object.spec.containers.securityContext{{
    allowPrivilegeEscalation: false,
    capabilities: Object.spec.containers.securityContext.capabilities{{drop: ["ALL"]}}
  }}
}}}}]
"""


def inject_sidecar(namespace: str, name: str) -> None:
    """Add a second container, which never ends, to each new pod of the TranscriptionJob `name`, as a service mesh does.

    Returns once the API server does so.
    """
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    annotation = f"object.metadata.?annotations['{names.ANNOTATION_NAME}'].orValue('') == '{name}'"
    spec: dict[str, Any] = {
        "matchConstraints": {"resourceRules": [pods]},
        "matchConditions": [{"name": "pod-of-the-resource", "expression": annotation}],
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": SIDECAR}}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
    }
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    policy = f"{namespace}-sidecar"
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": policy}}
    apply({**kind, "kind": "MutatingAdmissionPolicy", "spec": spec})
    binding = {"policyName": policy, "matchResources": selector}
    apply({**kind, "kind": "MutatingAdmissionPolicyBinding", "spec": binding})
    until(lambda: len(_admitted(namespace, name)) == 2, POLICY_SECONDS, "the policy to add a container")


def remove_sidecar(namespace: str) -> None:
    """Remove the policy of `inject_sidecar`; pods that have the container keep it."""
    for kind in ("mutatingadmissionpolicybinding", "mutatingadmissionpolicy"):
        kubectl("delete", kind, f"{namespace}-sidecar", "--ignore-not-found")


def _admitted(namespace: str, name: str) -> list[dict[str, Any]]:
    """Return the containers of a pod that the API server admits without storing it."""
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    restricted = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "worker", "image": PAUSE_IMAGE, "securityContext": restricted}
    metadata = {"generateName": "probe-", "namespace": namespace, "annotations": {names.ANNOTATION_NAME: name}}
    spec = {"securityContext": security, "containers": [container]}
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    admitted = json.loads(kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", text=pod))
    containers: list[dict[str, Any]] = admitted["spec"]["containers"]
    return containers


def forbid_pods(namespace: str, priority_class: str) -> None:
    """Create a PriorityClass, and a ResourceQuota that allows no pod of it in the namespace."""
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass"}
    apply({**kind, "metadata": {"name": priority_class}, "value": 0})
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": [priority_class]}
    spec = {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [scope]}}
    metadata = {"name": priority_class, "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec})
    until(lambda: _quota_counts(namespace, priority_class), POLICY_SECONDS, "the quota to be counted")


def allow_pods(namespace: str, priority_class: str) -> None:
    """Remove the quota of `forbid_pods`."""
    kubectl("delete", "resourcequota", priority_class, "-n", namespace, "--ignore-not-found")


def _quota_counts(namespace: str, name: str) -> bool:
    where = "jsonpath={.status.hard.pods}"
    return kubectl("get", "resourcequota", name, "-n", namespace, "-o", where) == "0"
