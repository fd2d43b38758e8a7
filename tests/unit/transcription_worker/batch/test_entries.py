"""A file of many has the spec, the fingerprint and the results that it would have alone."""

from typing import Any

import pytest
from transcription_api import layout
from transcription_api.codec import InvalidFieldError
from transcription_api.spec import Channel, Clip, Format, Spec, TaskKind, parse_spec
from transcription_worker.batch.entries import Entry, Overrides, decode_lines, encode_lines, entry_spec


def spec(source: dict[str, Any], **destination: Any) -> Spec:
    """Return a spec over objects of the bucket audio, with an option that decides the text."""
    target = {"s3": {"bucket": "transcripts", "prefix": "out/"}} | destination
    s3 = {"bucket": "audio", "region": "eu-west-1"} | source
    return parse_spec({"source": {"s3": s3}, "destination": target, "decoding": {"beamSize": 2}})


def entry(key: str, **fields: Any) -> Entry:
    """Return a file of the plan."""
    return Entry(0, key, "etag", 1000, 2.0, **fields)


@pytest.mark.parametrize(
    ("source", "name", "report"),
    [
        ({"prefix": "in/"}, "Tree", "out/a/b.report.json"),
        ({"prefix": "in"}, "Tree", "out/in/a/b.report.json"),
        ({"prefix": "in/a/"}, "Tree", "out/b.report.json"),
        ({"prefix": ""}, "Tree", "out/in/a/b.report.json"),
        ({"keys": ["in/a/b.wav"]}, "Tree", "out/in/a/b.report.json"),
        ({"prefix": "in/"}, "Flat", "out/b.report.json"),
        ({"prefix": "in/"}, "Adjacent", "in/a/b.report.json"),
    ],
)
def test_the_layout_says_where_the_results_lie(source: dict[str, Any], name: str, report: str) -> None:
    assert layout.report_key(entry_spec(spec(source, layout=name), entry("in/a/b.wav"))) == report


BESIDE: dict[str, Any] = {"s3": {}, "layout": "Adjacent"}


def test_without_a_bucket_results_lie_beside_each_source_and_the_run_in_the_sources_own_bucket() -> None:
    many = spec({"manifest": "list.jsonl"}, **BESIDE)
    assert (many.destination.s3.bucket, many.destination.s3.region) == ("audio", "eu-west-1")
    assert layout.run_prefix(many, "calls", "12345678-9") == "_runs/calls-12345678/"
    for bucket, wanted in ((None, "audio"), ("other", "other")):
        own = entry_spec(many, entry("in/a/b.wav", bucket=bucket))
        assert (own.destination.s3.bucket, layout.report_key(own)) == (wanted, "in/a/b.report.json")


def test_with_a_bucket_the_results_of_all_sources_lie_in_that_one() -> None:
    many = spec({"manifest": "list.jsonl"}, s3={"bucket": "audio"}, layout="Adjacent")
    own = entry_spec(many, entry("in/a/b.wav", bucket="other"))
    assert (own.destination.s3.bucket, layout.report_key(own)) == ("audio", "in/a/b.report.json")


def test_a_single_file_has_its_results_beside_it_as_it_has_among_others() -> None:
    alone, many = spec({"key": "in/a/b.wav"}, **BESIDE), spec({"prefix": "in/"}, **BESIDE)
    assert layout.report_key(alone) == layout.report_key(entry_spec(many, entry("in/a/b.wav"))) == "in/a/b.report.json"


def test_without_a_bucket_the_sources_credentials_write_unless_others_are_named() -> None:
    source = {"prefix": "in/", "endpointURL": "https://s3.example", "credentialsSecretRef": {"name": "reader"}}
    for named, wanted in (({}, "reader"), ({"credentialsSecretRef": {"name": "writer"}}, "writer")):
        target = spec(source, s3=named, layout="Adjacent").destination.s3
        assert target.endpoint_url == "https://s3.example"
        assert target.credentials_secret_ref is not None
        assert target.credentials_secret_ref.name == wanted


def test_a_destination_without_a_bucket_is_refused_by_name_with_another_layout() -> None:
    with pytest.raises(
        InvalidFieldError, match=r"spec\.destination\.s3\.bucket: got None, expected the name of a bucket"
    ):
        spec({"prefix": "in/"}, s3={"prefix": "out/"})


def test_a_key_with_empty_folders_keeps_them() -> None:
    own = entry_spec(spec({"prefix": "in/"}), entry("in/a//b.wav"))
    assert layout.report_key(own) == "out/a//b.report.json"


def test_a_file_has_the_fingerprint_that_it_has_alone() -> None:
    alone = spec({"key": "in/a/b.wav"})
    for source in ({"prefix": "in/"}, {"keys": ["in/a/b.wav"]}, {"manifest": "list.jsonl"}):
        assert layout.fingerprint(entry_spec(spec(source), entry("in/a/b.wav"))) == layout.fingerprint(alone)


def test_a_line_of_a_manifest_takes_precedence_field_by_field() -> None:
    own = entry_spec(
        spec({"manifest": "list.jsonl"}),
        entry(
            "b.wav",
            bucket="other",
            overrides=Overrides("pt", TaskKind.TRANSLATE, "Lisboa", (Clip(1.0, 2.0),), Channel.LEFT, (Format.SRT,)),
        ),
    )
    assert (own.language, own.task, own.formats) == ("pt", TaskKind.TRANSLATE, (Format.SRT,))
    assert (own.decoding.initial_prompt, own.decoding.beam_size) == ("Lisboa", 2)
    assert (own.audio.clips, own.audio.channel) == ((Clip(1.0, 2.0),), Channel.LEFT)
    assert (own.source.s3.bucket, own.source.s3.region) == ("other", "eu-west-1")


def test_the_lines_of_a_plan_are_read_as_they_were_written() -> None:
    entries = [
        entry("línea\u2028 1.wav", reference='"x"'),
        entry("b.wav", overrides=Overrides(clips=(Clip(0.5, None),), formats=(Format.VTT,)), found=True),
    ]
    assert list(decode_lines(Entry, encode_lines(entries))) == entries
