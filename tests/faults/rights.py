"""Rights that the harness needs beyond the chart's: each operator has a lease in a namespace of its own."""

import json

from tests.support.controlplane import ControlPlane
from tests.support.operator_process import ACCOUNT

_GROUP = "rbac.authorization.k8s.io"


def grant_leases(plane: ControlPlane) -> None:
    """Let the operator's account write leases in all namespaces."""
    rule = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}
    role = {"apiVersion": f"{_GROUP}/v1", "kind": "ClusterRole", "metadata": {"name": "faults"}, "rules": [rule]}
    binding = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "faults"},
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": "faults"},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": ACCOUNT}],
    }
    for item in (role, binding):
        plane.kubectl("apply", "-f", "-", text=json.dumps(item))
