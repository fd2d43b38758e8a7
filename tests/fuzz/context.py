"""What else a spec must say so that a change of one field is not refused for another field's sake."""

import copy
from typing import Any

Path = tuple[str | int, ...]

# The rules of hack/crd/rules.yaml, as JSON merge patches of the spec that go before a change at or below the path.
_CONTEXT: tuple[tuple[Path, dict[str, Any]], ...] = (
    (("model", "name"), {"model": {"s3": None, "volume": None}}),
    (("model", "s3"), {"model": {"name": None, "volume": None}}),
    (
        ("model", "volume"),
        {
            "model": {
                "name": None,
                "s3": None,
                "cache": None,
                "volume": {"path": "a.pt", "image": {"reference": "models:1"}},
            }
        },
    ),
    (("model", "volume", "persistentVolumeClaim"), {"model": {"volume": {"image": None}}}),
    (("model", "cache", "claimName"), {"model": {"cache": {"type": "PersistentVolumeClaim"}}}),
    (("task",), {"model": {"name": "large-v3", "s3": None, "volume": None}}),
    (("language",), {"languageDetection": None}),
    (("languageDetection",), {"language": None}),
    (("languageDetection", "default"), {"languageDetection": {"below": "default", "minProbability": 0.5}}),
    (("decoding", "hallucinationSilenceThreshold"), {"decoding": {"wordTimestamps": True}}),
    (("decoding", "carryInitialPrompt"), {"decoding": {"initialPrompt": "Kestrel, Merlin"}}),
    (("subtitles",), {"decoding": {"wordTimestamps": True}, "formats": ["json", "srt"]}),
    (("subtitles", "maxLineCount"), {"subtitles": {"maxLineWidth": 42}}),
    (("subtitles", "maxWordsPerLine"), {"subtitles": {"maxLineWidth": None, "maxLineCount": None}}),
    (("device", "tolerations", 0), {"device": {"tolerations": [{"key": "a", "effect": "NoExecute"}]}}),
    (("device", "resourceName"), {"device": {"policy": "RequireGPU"}}),
    (
        ("device", "gpus"),
        {
            "device": {"policy": "RequireGPU"},
            "source": {"s3": {"key": None, "keys": None, "manifest": None, "prefix": "calls/"}},
        },
    ),
)


def with_context(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the spec with what a change at this path needs."""
    for place, patch in _CONTEXT:
        if path[: len(place)] == place:
            spec = merged(spec, patch)
    return spec


def merged(value: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result
