"""Define paths in the repository, and read what tests need there."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm/transcription-operator"
CRD = ROOT / "crds/transcriptionjobs.transcription.dev.yaml"


def read_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition in crds/."""
    crd: dict[str, Any] = yaml.safe_load(CRD.read_text())
    return crd
