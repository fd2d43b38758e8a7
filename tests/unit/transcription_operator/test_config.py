"""Settings are checked before anything starts."""

import dataclasses

import pytest
from transcription_operator.config import PARSERS, Config, ConfigError, parse_config

from tests.support.kubernetes_objects import config


def test_every_setting_can_be_given() -> None:
    assert set(PARSERS) == {field.name for field in dataclasses.fields(Config)}


def test_an_empty_variable_counts_as_absent() -> None:
    assert config(http_port="").http_port == Config(worker_image="x").http_port


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("http_port", "http", "TRANSCRIPTION_HTTP_PORT: got 'http', expected an integer from 1 to 65535"),
        ("resync_seconds", "nan", "TRANSCRIPTION_RESYNC_SECONDS: got 'nan', expected a number of at least 1"),
        ("log_format", "xml", "TRANSCRIPTION_LOG_FORMAT: got 'xml', expected one of json, text"),
        ("node_cache_path", "a/b", "TRANSCRIPTION_NODE_CACHE_PATH: got 'a/b', expected an absolute path without .."),
    ],
)
def test_an_error_names_the_variable_the_value_and_what_was_expected(name: str, value: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(**{name: value})
    assert str(refused.value) == sentence


def test_the_workers_image_has_no_default() -> None:
    with pytest.raises(ConfigError, match="TRANSCRIPTION_WORKER_IMAGE"):
        parse_config({})
