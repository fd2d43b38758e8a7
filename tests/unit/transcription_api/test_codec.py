"""Dataclasses are converted to JSON and back."""

import pytest
from transcription_api.codec import (
    InvalidFieldError,
    camel,
    from_json,
    from_json_strictly,
    to_json,
    unknown_fields,
)
from transcription_api.layout import fingerprint
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
            {"source": {"s3": {"key": "a.wav"}}},
            "spec.source.s3.bucket: got None, expected a value: the field is required",
        ),
        ({"device": {"resources": []}}, "spec.device.resources: got [], expected an object"),
    ],
)
def test_an_error_names_the_field_the_value_and_what_was_expected(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse_spec(SMALLEST | change)
    assert str(caught.value) == sentence


def test_a_field_of_a_newer_version_is_ignored_and_named_at_every_depth() -> None:
    newer = SMALLEST | {
        "speakers": 2,
        "decoding": {"beamSize": 2, "draftModel": "tiny"},
        "audio": {"clips": [{"start": 1}, {"start": 2, "end": 3, "label": "question"}]},
        "device": {"tolerations": [{"anything": 1}], "resources": {"limits": {"cpu": 1}}},
    }
    spec = parse_spec(newer)
    assert (spec.decoding.beam_size, spec.audio.clips[1].end) == (2, 3)
    assert [*unknown_fields(Spec, newer, "spec")] == [
        "spec.speakers",
        "spec.decoding.draftModel",
        "spec.audio.clips[1].label",
    ]


def test_a_strict_reader_refuses_a_field_that_it_does_not_know() -> None:
    with pytest.raises(InvalidFieldError, match=r"spec\.model\.nam: got 'tiny', expected no such field"):
        from_json_strictly(Spec, SMALLEST | {"model": {"nam": "tiny"}}, "spec")
    assert from_json_strictly(Spec, SMALLEST, "spec") == parse_spec(SMALLEST)


def test_a_field_of_a_newer_version_does_not_change_what_makes_two_tasks_the_same_one() -> None:
    assert fingerprint(parse_spec(SMALLEST | {"speakers": 2})) == fingerprint(parse_spec(SMALLEST))


def test_an_integer_that_no_float_can_hold_is_refused_like_any_other_value() -> None:
    with pytest.raises(InvalidFieldError, match="expected a number"):
        parse_spec(SMALLEST | {"decoding": {"temperatures": [10**400]}})


def test_a_long_value_is_shortened_in_the_error() -> None:
    with pytest.raises(InvalidFieldError) as caught:
        parse_spec(SMALLEST | {"language": ["x" * 5000]})
    assert len(str(caught.value)) < 200
