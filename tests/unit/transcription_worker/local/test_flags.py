"""Flags of the local command are the fields of the spec, with their bounds, defaults and help."""

import argparse
import dataclasses
from typing import Any

import pytest
from transcription_api.options import options_of
from transcription_api.spec import AudioSelection, Channel, Decoding, LanguageDetection, Subtitles
from transcription_worker.local.flags import FLAGS, LEFT_OUT, PARTS, given_part, in_flags
from transcription_worker.local.options import GROUPS

DECODING = FLAGS[Decoding]


@pytest.mark.parametrize("part", PARTS)
def test_every_field_of_a_part_is_a_flag_or_left_out_on_purpose(part: str) -> None:
    cls = PARTS[part]
    left_out = {name for owner, name in LEFT_OUT if owner is cls}
    assert set(FLAGS[cls]) == {field.name for field in dataclasses.fields(cls)} - left_out


def test_every_flag_of_a_field_is_an_option_of_the_command() -> None:
    known = [flag for flags in GROUPS.values() for flag in flags]
    assert len({flag.name for flag in known}) == len(known)
    assert [flag.name for flags in FLAGS.values() for flag in flags.values() if flag not in known] == []


def test_a_flag_has_whispers_name_and_without_one_the_fields() -> None:
    for name, option in options_of(Decoding).items():
        if name in DECODING:
            assert DECODING[name].dest == (option.whisper or name)
    assert FLAGS[LanguageDetection]["min_probability"].name == "language-min-probability"
    assert FLAGS[AudioSelection]["clips"].name == "clip-timestamps"


@pytest.mark.parametrize(
    ("flag", "good", "bad"),
    [
        (DECODING["beam_size"], {"1": 1, "50": 50, "None": None}, ("0", "51", "1.5")),
        (DECODING["patience"], {"0.1": 0.1, "10": 10.0, "None": None}, ("0", "10.1")),
        (DECODING["logprob_threshold"], {"-1000": -1000.0, "0": 0.0}, ("0.1", "None")),
        (DECODING["no_speech_threshold"], {"1": 1.0, "None": None}, ("1.1",)),
        (DECODING["word_timestamps"], {"True": True, "false": False}, ("yes",)),
        (FLAGS[LanguageDetection]["windows"], {"20": 20}, ("21", "None")),
        (FLAGS[LanguageDetection]["candidates"], {"pt,English": ("pt", "en")}, ("pt,klingon",)),
        (FLAGS[LanguageDetection]["default"], {"Portuguese": "pt"}, ("auto",)),
        (FLAGS[Subtitles]["max_line_width"], {"1000": 1000}, ("1001",)),
    ],
)
def test_a_flag_reads_values_within_the_bounds_of_its_field(flag: Any, good: dict[str, Any], bad: tuple[str]) -> None:
    assert {text: flag.type(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match="expected"):
            flag.type(text)


def test_a_flag_has_the_members_of_an_enum_as_choices() -> None:
    flag = FLAGS[AudioSelection]["channel"]
    assert (flag.choices, flag.default) == (tuple(member.value for member in Channel), "mix")


def test_help_names_options_and_not_fields_of_a_manifest() -> None:
    assert in_flags("Only with decoding.wordTimestamps, below logprobThreshold, as in openai-whisper.") == (
        "Only with --word-timestamps, below --logprob-threshold, as in openai-whisper."
    )
    assert (
        in_flags("What languageDetection.below says, of the default.") == "What --language-below says, of the default."
    )


def test_a_flag_without_a_value_leaves_its_field_at_the_default() -> None:
    given = argparse.Namespace(**{flag.dest: flag.default for flag in FLAGS[LanguageDetection].values()})
    assert given_part(LanguageDetection, given) == LanguageDetection()
    given.language_windows, given.language_below = 5, "fail"
    assert (given_part(LanguageDetection, given).windows, given_part(LanguageDetection, given).below.value) == (
        5,
        "fail",
    )
