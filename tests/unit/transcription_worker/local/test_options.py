"""Options of the local command agree with those of openai-whisper's, and contradictions are refused."""

import argparse
import importlib
from typing import Any

import numpy as np
import pytest
from transcription_api import reasons
from transcription_api.spec import (
    Channel,
    Clip,
    Decoding,
    DevicePolicy,
    EngineKind,
    Format,
    LanguageDetection,
    LongForm,
    Precision,
    QualityPolicy,
    Subtitles,
    TaskKind,
    Truncated,
    UncertainLanguage,
)
from transcription_worker.errors import WorkerError
from transcription_worker.local.options import in_options, spell_with_dashes
from transcription_worker.local.plan import Plan, make_plan
from transcription_worker.main import make_parser

# Options of whisper's command without a counterpart: output is shown differently, and the others were not missed.
LEFT_OUT = {"audio", "verbose", "prepend_punctuations", "append_punctuations"}
# Whisper's default device is the one that it finds: a GPU, or silently the CPU.
OTHER_DEFAULTS = {"device", "model_dir", "fp16", "output_dir", "language"}


class _ParsedError(Exception):
    pass


def plan(*words: str) -> Plan:
    return make_plan(parsed(*words))


def parsed(*words: str) -> argparse.Namespace:
    return make_parser().parse_args(spell_with_dashes(["local", "talk.mp3", *words]))


@pytest.fixture
def whispers(monkeypatch: pytest.MonkeyPatch) -> dict[str, argparse.Action]:
    """Return the options of openai-whisper's command, from its own parser."""
    seen: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, *_: Any) -> None:
        seen.append(parser)
        raise _ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", keep)
    with pytest.raises(_ParsedError):
        importlib.import_module("whisper.transcribe").cli()
    monkeypatch.undo()
    return {action.dest: action for action in seen[0]._actions if action.dest != "help"}


def test_every_option_of_the_whisper_command_is_here_with_its_default(whispers: dict[str, argparse.Action]) -> None:
    ours = vars(parsed())
    assert set(whispers) - set(ours) == LEFT_OUT
    for name in set(whispers) - LEFT_OUT - OTHER_DEFAULTS:
        theirs: Any = whispers[name].default
        if name == "output_format":
            assert (theirs, ours[name]) == ("all", tuple(Format))
        elif name in ("clip_timestamps", "suppress_tokens"):
            assert ours[name] == {"clip_timestamps": (), "suppress_tokens": (-1,)}[name]
        else:
            assert ours[name] == theirs, name


def test_short_names_are_the_whisper_commands() -> None:
    made = plan("-o", "out", "-f", "srt")
    assert (str(made.output_dir), made.formats) == ("out", (Format.SRT,))


def test_without_options_it_is_what_the_smallest_manifest_asks_for() -> None:
    made = plan()
    spelled = Decoding(temperatures=tuple(np.arange(0, 1.0 + 1e-6, 0.2).tolist()))
    assert made.options.decoding == spelled
    assert [round(step, 6) for step in spelled.temperatures] == list(Decoding().temperatures)
    assert (made.engine, made.policy, made.audio.channel) == (EngineKind.BATCHED, DevicePolicy.REQUIRE_GPU, Channel.MIX)
    assert made.options.detection == LanguageDetection()
    assert made.options.language is None
    assert made.subtitles == Subtitles()


def test_every_option_reaches_the_plan_in_either_spelling() -> None:
    words = (
        "--model_dir m --device cpu --engine faster-whisper --precision bfloat16 --threads 3 --task translate "
        "--model small --language Portuguese --channel split --track 1 --truncated Fail --clip_timestamps 1,2.5,9 --long-form "
        "chunked "
        "--quality retry --temperature 0.2 --temperature_increment_on_fallback None --best_of 3 --beam-size 4 "
        "--patience 2 --length_penalty 0.5 --suppress_tokens=-1,7 --initial_prompt Anna --carry_initial_prompt True "
        "--condition_on_previous_text False --compression_ratio_threshold 2 --logprob_threshold -0.5 "
        "--no_speech_threshold 0.4 --word_timestamps True --hallucination_silence_threshold 2 --highlight_words True "
        "--max_line_width 40 --max_line_count 2 -o out --output_format srt,json --recursive --skip_existing"
    )
    made = plan(*words.split())
    assert made.options.decoding == Decoding(
        temperatures=(0.2,),
        beam_size=4,
        best_of=3,
        patience=2,
        length_penalty=0.5,
        initial_prompt="Anna",
        condition_on_previous_text=False,
        compression_ratio_threshold=2,
        logprob_threshold=-0.5,
        no_speech_threshold=0.4,
        word_timestamps=True,
        carry_initial_prompt=True,
        hallucination_silence_threshold=2,
        suppress_tokens=(-1, 7),
        precision=Precision.BFLOAT16,
        long_form=LongForm.CHUNKED,
    )
    options = made.options
    assert (options.task, options.language, options.clips) == (
        TaskKind.TRANSLATE,
        "pt",
        (Clip(1.0, 2.5), Clip(9.0)),
    )
    assert options.quality.policy is QualityPolicy.RETRY
    assert made.subtitles == Subtitles(40, 2, None, True)
    assert (made.engine, made.policy) == (EngineKind.FASTER_WHISPER, DevicePolicy.CPU)
    assert (made.audio.channel, made.audio.track, made.audio.truncated) == (Channel.SPLIT, 1, Truncated.FAIL)
    assert (made.formats, made.threads) == ((Format.SRT, Format.JSON), 3)
    assert (str(made.model_dir), made.model, made.recursive, made.skip_existing) == ("m", "small", True, True)


def test_the_languages_of_detection_reach_the_plan() -> None:
    words = "--language-windows 5 --language-candidates en,Portuguese --language-min-probability 0.6"
    detection = plan(*words.split(), "--language-below", "default", "--language-default", "pt").options.detection
    assert detection == LanguageDetection(5, ("en", "pt"), 0.6, UncertainLanguage.DEFAULT, "pt")


def test_none_is_what_it_is_for_the_whisper_command() -> None:
    words = "--beam_size None --best_of None --compression_ratio_threshold None --no_speech_threshold None"
    decoding = plan(*words.split()).options.decoding
    assert (decoding.beam_size, decoding.best_of) == (1, 1)  # greedy
    assert (decoding.compression_ratio_threshold, decoding.no_speech_threshold) == (np.inf, np.inf)


@pytest.mark.parametrize(("fp16", "precision"), [("True", Precision.AUTO), ("False", Precision.FLOAT32)])
def test_fp16_is_a_precision(fp16: str, precision: Precision) -> None:
    assert plan("--fp16", fp16).options.decoding.precision is precision


def test_a_truth_may_be_left_out() -> None:
    assert plan("--word-timestamps", "--beam-size", "1").options.decoding.word_timestamps


def test_what_follows_two_dashes_keeps_its_underscores() -> None:
    assert spell_with_dashes(["--output_dir=a_b", "c_d", "--", "--e_f"]) == ["--output-dir=a_b", "c_d", "--", "--e_f"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--beam-size 0", "argument --beam-size: got '0', expected a whole number from 1 to 50 or None"),
        ("--temperature 1.5", "argument --temperature: got '1.5', expected a number from 0 to 1"),
        ("--temperature nan", "argument --temperature: got 'nan', expected a number from 0 to 1"),
        ("--word-timestamps maybe", "argument --word-timestamps: got 'maybe', expected True or False"),
        ("--language Klingon", "argument --language: got 'Klingon', expected auto, a language's English name"),
        ("--output-format doc", "argument --output-format/-f: got 'doc', expected all, or some of json, txt"),
        ("--suppress-tokens x", "argument --suppress-tokens: got 'x', expected numbers of tokens"),
        ("--suppress-tokens 51866", "argument --suppress-tokens: got '51866', expected numbers of tokens up to 51865"),
        ("--suppress-tokens=-5", "argument --suppress-tokens: got '-5', expected numbers of tokens"),
        ("--clip-timestamps nan", "argument --clip-timestamps: got 'nan', expected seconds as start,end"),
        ("--clip-timestamps 0,inf", "argument --clip-timestamps: got '0,inf', expected seconds as start,end"),
        ("--clip-timestamps 1e9", "argument --clip-timestamps: got '1e9', expected seconds as start,end"),
        ("--clip-timestamps 5,3", "argument --clip-timestamps: got '5,3', expected seconds as start,end"),
        ("--clip-timestamps 3,3", "argument --clip-timestamps: got '3,3', expected seconds as start,end"),
        ("--device tpu", "argument --device: invalid choice: 'tpu' (choose from"),
        ("--beam 3", "unrecognized arguments: --beam"),
    ],
)
def test_a_wrong_value_names_option_value_and_expectation(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(*words.split())
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--task translate", "--task: got translate with --model turbo, expected a model that can"),
        ("--model tiny.en --task translate", "--task: got translate with --model tiny.en"),
        ("--model tiny.en --language pt", "--language: got pt with --model tiny.en, expected en or auto"),
        ("--model medium --language yue", "--language: got yue with --model medium, expected a model that knows it"),
        ("--model tiny.en --language Cantonese", "--language: got yue with --model tiny.en"),
        (
            "--model small --language-below default --language-min-probability 0.5 --language-default yue",
            "--language-default: got yue with --model small",
        ),
        ("--temperature 1e-40", "--temperature: got 1e-40, expected 0 or at least 0.01"),
        ("--language pt --language-windows 5", "--language: got pt with --language-windows, expected auto"),
        ("--language-min-probability 0.5", "--language-below: got allow with --language-min-probability 0.5"),
        ("--language-below fail", "--language-below: got fail with --language-min-probability 0"),
        ("--language-default pt", "--language-default: got pt with --language-below allow"),
        ("--highlight-words", "--highlight-words: got True without --word-timestamps"),
        ("--max-line-width 40", "--max-line-width: got 40 without --word-timestamps"),
        ("--hallucination-silence-threshold 0", "--hallucination-silence-threshold: got 0.0 without"),
        ("--word-timestamps --max-line-count 2", "--max-line-count: got 2 without --max-line-width"),
        ("--word-timestamps --max-words-per-line 3 --max-line-width 9", "--max-words-per-line: got 3 with"),
        ("--word-timestamps --highlight-words -f txt,json", "--output-format: got txt,json with options of subtitles"),
        ("--carry-initial-prompt", "--carry-initial-prompt: got True without --initial-prompt"),
        ("--fp16 True --precision float32", "--fp16: got True with --precision float32"),
        ("--batch-size 8 --engine openai-whisper", "--batch-size: got 8 with --engine openai-whisper"),
        ("--patience 0.4 --beam-size 1", "--patience: got 0.4 with 1 beams, expected a product above 0.5"),
    ],
)
def test_options_that_contradict_each_other_are_refused(words: str, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        plan(*words.split())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("spec.decoding.longForm: got chunked", "--long-form: got chunked"),
        ("spec.language: got 'pt'", "--language: got 'pt'"),
        ("spec.languageDetection.minProbability: got 0.2", "--language-min-probability: got 0.2"),
        ("spec.model: 'x.pt' is no Whisper checkpoint", "--model: 'x.pt' is no Whisper checkpoint"),
        ("spec.audio.channel: right: mono", "--channel: right: mono"),
        ("no field at all", "no field at all"),
    ],
)
def test_an_error_names_options_and_not_fields_of_a_manifest(message: str, shown: str) -> None:
    assert in_options(WorkerError(reasons.MODEL_INVALID, message)) == f"ModelInvalid: {shown}"
