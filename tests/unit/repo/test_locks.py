"""The worker's images differ in torch and what comes with it, and in nothing else; the chart and docs/gpu.md say how."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transcription_worker.image_variants import VARIANTS

from tests.support.repository import CHART, ROOT

FOLDER = ROOT / "worker/image"
# The lock of each image by its CUDA.
LOCKS = {"13": ROOT / "uv.lock", "12": FOLDER / "cuda12/uv.lock"}
KNOWN = {variant.cuda: variant for variant in VARIANTS}
PAGE = (ROOT / "docs/gpu.md").read_text()


def packages(lock: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(lock.read_text())["package"]
    return found


def with_torch(lock: Path) -> set[str]:
    """Return the names of torch and of all packages that it requires."""
    requirements = {item["name"]: [one["name"] for one in item.get("dependencies", ())] for item in packages(lock)}
    found, left = set(), ["torch"]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += requirements[name]
    return found


def capabilities(flags: tuple[str, ...]) -> list[str]:
    """Return compute capabilities as the chart writes them: 7.5 for sm_75."""
    return [f"{flag[3:-1]}.{flag[-1]}" for flag in flags]


def version(lock: Path, name: str) -> str:
    (found,) = [item["version"] for item in packages(lock) if item["name"] == name]
    return str(found)


def test_what_is_not_torch_has_one_version_in_all_images() -> None:
    """To mend a difference: uv lock --project worker/image/cuda12 --upgrade-package NAME==VERSION."""
    own = with_torch(LOCKS["12"]) | with_torch(LOCKS["13"])
    known: dict[str, set[str]] = {}
    for item in packages(LOCKS["13"]):
        known.setdefault(item["name"], set()).add(item.get("version", ""))
    others = [item for item in packages(LOCKS["12"]) if item["name"] not in own and item["source"].get("registry")]
    assert {item["name"] for item in others} >= {"numpy", "av", "boto3", "openai-whisper"}
    assert [(item["name"], item["version"]) for item in others if item["version"] not in known[item["name"]]] == []


@pytest.mark.parametrize("cuda", LOCKS)
def test_the_page_names_what_is_in_each_image(cuda: str) -> None:
    (row,) = re.findall(rf"^\| `CUDA={cuda}`.*$", PAGE, re.MULTILINE)
    for name in ("torch", "triton"):
        assert version(LOCKS[cuda], name) in row
    assert f"| {KNOWN[cuda].driver.partition('.')[0]} | {', '.join(capabilities(KNOWN[cuda].built_for))} |" in row


def test_the_chart_says_of_its_image_what_torch_says_of_itself() -> None:
    image = yaml.safe_load((CHART / "values.yaml").read_text())["worker"]["image"]
    assert image["computeCapabilities"] == capabilities(tuple(torch._C._cuda_getArchFlags().split()))
    assert image["cuda"] == torch.version.cuda
    assert str(image["minDriver"]) == KNOWN["13"].driver.partition(".")[0]


@pytest.mark.parametrize("cuda", LOCKS)
def test_each_image_is_stripped_by_a_list_of_its_own(cuda: str) -> None:
    lines = (FOLDER / f"cuda{cuda}/needless").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] != []
