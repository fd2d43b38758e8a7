"""Render the worker's volumes: scratch, credentials, certificates, model and model cache.

The restricted Pod Security Standard allows all of them except the folder of a node.
"""

from typing import Any

from transcription_api import names
from transcription_api.spec import CacheKind, S3Endpoint, Spec

from transcription_operator.config import Config
from transcription_operator.manifests.requests_and_limits import scratch_limit

Manifest = dict[str, Any]


def render_volumes(spec: Spec, config: Config) -> tuple[list[Manifest], list[Manifest]]:
    """The volumes and their mounts, in the same order."""
    limits = config.worker.size_limits
    pairs = [
        _volume("scratch", names.SCRATCH_DIR, _empty_dir(scratch_limit(spec, config))),
        _volume("tmp", "/tmp", _empty_dir(limits.tmp)),  # noqa: S108 - the /tmp of the pod alone
        _volume("model-cache", names.MODEL_CACHE_DIR, _cache(spec, config)),
        *_model(spec),
        *_credentials("source", names.SOURCE_CREDENTIALS_DIR, spec.source.s3),
        *_credentials("destination", names.DESTINATION_CREDENTIALS_DIR, spec.destination.s3),
        *_ca_bundle(config),
        *_credentials("model", names.MODEL_CREDENTIALS_DIR, spec.model.s3),
    ]
    return [volume for volume, _ in pairs], [mount for _, mount in pairs]


def _volume(name: str, path: str, source: Manifest, read_only: bool = False) -> tuple[Manifest, Manifest]:
    mount: Manifest = {"name": name, "mountPath": path}
    return {"name": name} | source, mount | ({"readOnly": True} if read_only else {})


def _empty_dir(limit: str) -> Manifest:
    """A folder that is deleted with the pod. The kubelet evicts a pod whose folder holds more than its limit."""
    return {"emptyDir": {"sizeLimit": limit} if limit else {}}


def _cache(spec: Spec, config: Config) -> Manifest:
    cache = spec.model.cache
    if cache.type is CacheKind.CLAIM:
        return {"persistentVolumeClaim": {"claimName": cache.claim_name}}
    if cache.type is CacheKind.NODE:
        # The folder must exist, since only root could write to one that the kubelet creates.
        return {"hostPath": {"path": config.node_cache_path, "type": "Directory"}}
    return _empty_dir(config.worker.size_limits.model_cache)


def _model(spec: Spec) -> list[tuple[Manifest, Manifest]]:
    volume = spec.model.volume
    if volume is None:
        return []
    if volume.persistent_volume_claim is not None:
        claim = {"claimName": volume.persistent_volume_claim.claim_name, "readOnly": True}
        source: Manifest = {"persistentVolumeClaim": claim}
    elif volume.image is not None:
        policy = {"pullPolicy": volume.image.pull_policy} if volume.image.pull_policy else {}
        source = {"image": {"reference": volume.image.reference} | policy}
    else:
        return []
    return [_volume("model", names.MODEL_VOLUME_DIR, source, read_only=True)]


def _ca_bundle(config: Config) -> list[tuple[Manifest, Manifest]]:
    """The ConfigMap is optional: if it is missing, the worker fails with CABundleUnusable instead of waiting for ever."""
    bundle = config.worker.ca_bundle
    if not bundle.config_map_name:
        return []
    items = [{"key": bundle.key, "path": bundle.key}]
    source = {"configMap": {"name": bundle.config_map_name, "items": items, "optional": True}}
    return [_volume("ca-bundle", bundle.path.rpartition("/")[0], source, read_only=True)]


def _credentials(name: str, path: str, endpoint: S3Endpoint | None) -> list[tuple[Manifest, Manifest]]:
    """The Secret is optional: if it is missing, the worker fails with BadCredentials instead of waiting for ever to start."""
    if endpoint is None or endpoint.credentials_secret_ref is None:
        return []
    secret = {"secretName": endpoint.credentials_secret_ref.name, "optional": True, "defaultMode": 0o440}
    return [_volume(f"{name}-credentials", path, {"secret": secret}, read_only=True)]
