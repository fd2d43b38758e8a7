"""Which field of the spec a field of the Job comes from, so that an error about a Job can be told in words of the spec."""

from transcription_api.spec import Spec


def spec_field(job_field: str, spec: Spec) -> str | None:
    """The field of the spec whose value `job_field` has, or None if the value is the operator's or somebody else's.

    `job_field` is a path as in a cause of the apiserver, such as spec.template.spec.nodeSelector.
    """
    return next((name for path, name, value in _origins(spec) if value and _is_within(job_field, path)), None)


def _origins(spec: Spec) -> tuple[tuple[str, str, object], ...]:
    """Paths in the Job, fields of the spec and their values. A mutating webhook may have set what the spec leaves out."""
    pod, device = "spec.template.spec", spec.device
    return (
        (f"{pod}.nodeSelector", "spec.device.nodeSelector", device.node_selector),
        (f"{pod}.tolerations", "spec.device.tolerations", device.tolerations),
        (f"{pod}.containers[0].resources", "spec.device.resources", device.resources),
        (f"{pod}.resourceClaims", "spec.device.resourceClaimTemplateName", device.resource_claim_template_name),
        (f"{pod}.runtimeClassName", "spec.device.runtimeClassName", device.runtime_class_name),
        (f"{pod}.priorityClassName", "spec.device.priorityClassName", device.priority_class_name),
        (f"{pod}.serviceAccountName", "spec.serviceAccountName", spec.service_account_name),
        ("metadata.labels", "spec.queueName", spec.queue_name),
        ("spec.activeDeadlineSeconds", "spec.activeDeadlineSeconds", spec.active_deadline_seconds),
    )


def _is_within(field: str, path: str) -> bool:
    return field == path or field.startswith((f"{path}.", f"{path}["))
