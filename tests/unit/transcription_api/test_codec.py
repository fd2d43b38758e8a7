"""Dataclasses are converted to JSON and back."""

import pytest
from transcription_api.codec import InvalidFieldError, camel, from_json, to_json
from transcription_api.spec import Format, Spec, parse_spec

SMALLEST = {
    "source": {"s3": {"bucket": "audio", "key": "interviews/01.wav"}},
    "destination": {"s3": {"bucket": "transcripts", "prefix": "interviews/01/"}},
}


@pytest.mark.parametrize(
    ("field", "key"),
    [("bucket", "bucket"), ("endpoint_url", "endpointURL"), ("credentials_secret_ref", "credentialsSecretRef")],
)
def test_field_names_become_the_keys_that_kubernetes_users_expect(field: str, key: str) -> None:
    assert camel(field) == key


def test_the_smallest_manifest_takes_every_default() -> None:
    spec = parse_spec(SMALLEST)
    assert spec.model.display_name == "turbo"
    assert spec.formats == (Format.JSON, Format.TXT)
    assert spec.device.policy.value == "RequireGPU"


def test_what_is_written_reads_back_as_the_same_spec() -> None:
    spec = parse_spec(
        SMALLEST | {"decoding": {"temperatures": [0, 0.4]}, "device": {"resources": {"limits": {"cpu": 2}}}}
    )
    assert from_json(Spec, to_json(spec), "spec") == spec


def test_absent_fields_are_left_out_instead_of_null() -> None:
    assert "language" in to_json(parse_spec(SMALLEST))
    assert "queueName" not in to_json(parse_spec(SMALLEST))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"formats": ["docx"]}, "spec.formats[0]: got 'docx', expected one of json, txt, srt, vtt, tsv"),
        ({"retries": "3"}, "spec.retries: got '3', expected an integer"),
        ({"retries": True}, "spec.retries: got True, expected an integer"),
        ({"suspend": 1}, "spec.suspend: got 1, expected true or false"),
        ({"formats": "json"}, "spec.formats: got 'json', expected a list"),
        ({"model": "turbo"}, "spec.model: got 'turbo', expected an object"),
        ({"device": {"policy": "GPU"}}, "spec.device.policy: got 'GPU', expected one of RequireGPU, PreferGPU, CPU"),
        (
            {"source": {"s3": {"bucket": "audio"}}},
            "spec.source.s3.key: got None, expected a value: the field is required",
        ),
        ({"device": {"resources": []}}, "spec.device.resources: got [], expected an object"),
    ],
)
def test_an_error_names_the_field_the_value_and_what_was_expected(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse_spec(SMALLEST | change)
    assert str(caught.value) == sentence


def test_an_unknown_field_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(InvalidFieldError, match=r"spec\.languge: got 'pt', expected no such field; one of .*language"):
        parse_spec(SMALLEST | {"languge": "pt"})


def test_a_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse_spec(SMALLEST | {"language": ["x" * 5000]})
    assert len(str(caught.value)) < 200
