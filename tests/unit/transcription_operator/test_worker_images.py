"""The images of the worker are read with an error that names the field, its value and what was expected."""

import json
from typing import Any

import pytest
from transcription_operator.config import ConfigError

from tests.support.kubernetes_objects import config
from tests.support.node_affinity import CUDA_12, CUDA_13


def test_without_a_list_the_only_image_is_the_one_that_was_always_named() -> None:
    (image,) = config().images
    assert (image.reference, image.min_driver, image.compute_capabilities) == ("registry.example/worker:1", 0, ())


def test_the_images_keep_their_order() -> None:
    images = config(worker_images=json.dumps([CUDA_12, CUDA_13])).images
    assert [image.reference for image in images] == ["worker:12", "worker:13"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{"reference": ""}], ["worker.images[0].reference", "expected an image"]),
        ([{}], ["worker.images[0].reference", "required"]),
        ([CUDA_13, CUDA_13 | {"cuda": "13.2.1"}], ["worker.images[1].cuda", "'13.2.1'", "13.2"]),
        ([CUDA_13 | {"minDriver": "580"}], ["worker.images[0].minDriver", "'580'"]),
        ([CUDA_13 | {"minDriver": -1}], ["worker.images[0].minDriver", "-1", "as in 580"]),
        ([CUDA_13 | {"computeCapabilities": ["sm_90"]}], ["computeCapabilities", "'sm_90'", "7.5 or 12.0+PTX"]),
        ([CUDA_13 | {"driver": 580}], ["worker.images[0].driver", "no such field"]),
        ([CUDA_13] * 9, ["expected JSON"]),
        ({}, ["expected JSON"]),
    ],
)
def test_a_wrong_image_is_refused_by_its_field(given: Any, words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        config(worker_images=json.dumps(given))
    assert [word for word in ["TRANSCRIPTION_WORKER_IMAGES", *words] if word not in str(error.value)] == []


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("false", False), ("", False)])
def test_nodes_are_read_only_where_that_is_said(text: str, expected: bool) -> None:
    assert config(read_nodes=text).read_nodes is expected


def test_a_wrong_word_about_nodes_is_refused() -> None:
    with pytest.raises(ConfigError, match="TRANSCRIPTION_READ_NODES: got 'yes', expected true or false"):
        config(read_nodes="yes")
