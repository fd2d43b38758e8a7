"""The tables about GPUs have the numbers that the worker and the operator count with."""

import re

from transcription_api.model_memory import gpu_memory_mib
from transcription_api.spec import EngineKind, Precision
from transcription_worker.image_variants import VARIANTS

from tests.support.repository import ROOT

NAMES = {"large": "large-v3"}


def test_the_table_of_gpu_memory_has_the_numbers_of_the_code() -> None:
    text = (ROOT / "docs/platforms.md").read_text()
    section = text.partition("## Memory of the GPU")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([a-z]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", section, re.MULTILINE)
    assert [row[0] for row in rows] == ["tiny", "base", "small", "medium", "turbo", "large"]
    for label, *numbers in rows:
        name = NAMES.get(label, label)
        assert [int(number.replace(",", "")) for number in numbers] == [
            gpu_memory_mib(name, Precision.FLOAT16),
            gpu_memory_mib(name, Precision.FLOAT32),
            gpu_memory_mib(name, Precision.FLOAT16, EngineKind.OPENAI_WHISPER),
        ]


def test_the_table_of_images_has_the_drivers_and_capabilities_that_a_diagnosis_names() -> None:
    text = (ROOT / "docs/gpu.md").read_text()
    rows = re.findall(r"^\| `CUDA=(\d+)`[^|]*\|[^|]*\| (\d+) \| ([\d., ]+) \|", text, re.MULTILINE)
    assert rows == [
        (
            variant.cuda,
            variant.driver.split(".")[0],
            ", ".join(f"{name[3:-1]}.{name[-1]}" for name in variant.built_for),
        )
        for variant in VARIANTS
    ]
