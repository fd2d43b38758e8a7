"""What whisper.transcribe makes of a model's tokens, window after window, and what it should have made where it errs.

The tokens are written here, so that both whisper.transcribe and the batched engine's algorithm read the same ones.
"""

import dataclasses
import importlib
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import whisper
from transcription_api.spec import Decoding, TaskKind
from transcription_worker.engines.batched.algorithm.log_mel import LogMel
from transcription_worker.engines.batched.algorithm.transcriber import Transcriber
from transcription_worker.engines.batched.requests import AlignRequest, DecodeRequest, DecodeResponse, EncodeRequest
from transcription_worker.engines.openai_whisper.engine import OpenAIWhisper
from transcription_worker.engines.protocol import InMemory, Input, Options
from transcription_worker.engines.speech.loudness import Loudness
from transcription_worker.engines.whisper_arguments import transcribe_arguments
from whisper.decoding import DecodingResult
from whisper.model import ModelDimensions, Whisper
from whisper.timing import WordTiming
from whisper.tokenizer import get_tokenizer

TOKENIZER = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
BEGIN = TOKENIZER.timestamp_begin
TIMING = importlib.import_module("whisper.timing")
ROOM = 223  # tokens of prompt that the decoder takes
MOST_WINDOWS = 200
GREEDY = Decoding(temperatures=(0.0,), beam_size=1)

WORDS = dataclasses.replace(GREEDY, word_timestamps=True)


class EndlessError(Exception):
    """The library reads a window a second time."""


# The tokens of a window, from its number.
Script = Callable[[int], list[int]]


def result(tokens: Sequence[int]) -> DecodingResult:
    return DecodingResult(
        audio_features=torch.zeros(1),
        language="en",
        tokens=list(tokens),
        text="",
        avg_logprob=-0.2,
        no_speech_prob=0.1,
        temperature=0.0,
        compression_ratio=1.0,
    )


def align(window: int, tokens: list[int]) -> list[WordTiming]:
    """Words of one token each at places drawn by the window's number; most take no time, as where the model hears nothing."""
    draw, place, words = random.Random(f"{window} {len(tokens)}"), 0.0, list[WordTiming]()
    for token in tokens:
        end = place + draw.choice((0.0, 0.0, 0.0, 0.004, 0.02, 0.3))
        words.append(WordTiming(TOKENIZER.decode([token]), [token], place, end, draw.choice((0.01, 0.9))))
        place = end
    return words


def batched(script: Script, decoding: Decoding, seconds: float) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Return the prompt of each window and the segments of the batched engine's algorithm."""
    options = Options(TaskKind.TRANSCRIBE, "en", decoding)
    mel = LogMel(InMemory(np.zeros(round(16_000 * seconds), np.float32)), 80)
    transcriber = Transcriber(
        options, mel, Loudness(mel.audio), "en", TOKENIZER, transcribe_arguments(options, half=False),
        [(0, mel.frames)], 2, 448, torch.float32, lambda _: None,
    )  # fmt: skip
    running, response, prompts = transcriber.run(), None, list[list[int]]()
    while True:
        try:
            request = running.send(response)
        except StopIteration:
            return prompts, transcriber.segments
        response = torch.zeros(1)
        if isinstance(request, DecodeRequest):
            assert len(prompts) < MOST_WINDOWS, "the windows never end"
            prompts.append(list(request.options.prompt)[-ROOM:])
            response = DecodeResponse(result(script(len(prompts) - 1)), 1)
        elif isinstance(request, AlignRequest):
            response = align(len(prompts), request.tokens)
        else:
            assert isinstance(request, EncodeRequest)


@pytest.fixture(scope="module")
def model() -> Any:
    """Return a model whose weights are never looked at."""
    return Whisper(ModelDimensions(80, 1500, 8, 1, 1, 51865, 448, 8, 1, 1))


def openai(
    model: Any, script: Script, decoding: Decoding, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[list[int]], list[dict[str, Any]]]:
    """Return the same of the engine openai-whisper."""
    prompts: list[list[int]] = []

    def decode(_model: Any, _segment: Any, options: Any) -> DecodingResult:
        assert len(prompts) < MOST_WINDOWS, "the windows never end"
        prompts.append(list(options.prompt)[-ROOM:])
        return result(script(len(prompts) - 1))

    monkeypatch.setattr(Whisper, "decode", decode)
    monkeypatch.setattr(
        TIMING, "find_alignment", lambda _model, _tokenizer, tokens, *_, **__: align(len(prompts), tokens)
    )
    samples = np.zeros(round(16_000 * seconds), np.float32)
    item = Input("a", lambda: InMemory(samples), Options(TaskKind.TRANSCRIBE, "en", decoding))
    (outcome,) = OpenAIWhisper(model).transcribe([item])
    kept = [{key: value for key, value in one.items() if key != "flags"} for one in outcome.value().segments]
    return prompts, kept


@pytest.fixture(params=["batched", "openai-whisper"])
def transcribe(
    request: pytest.FixtureRequest, model: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Script, Decoding, float], tuple[list[list[int]], list[dict[str, Any]]]]:
    if request.param == "batched":
        return batched
    return lambda script, decoding, seconds: openai(model, script, decoding, seconds, monkeypatch)


Transcribe = Callable[[Script, Decoding, float], tuple[list[list[int]], list[dict[str, Any]]]]


def words(window: int) -> list[int]:
    """Return 40 words that take the whole window."""
    return [BEGIN, *range(1000 * window + 300, 1000 * window + 340), BEGIN + 1500]


def prompt_of(count: int) -> str:
    """Return a prompt of this many tokens."""
    text = " ".join(random.Random(count).choices(["red", "blue", "house", "river", "doctor"], k=count))
    assert len(TOKENIZER.encode(" " + text)) == count
    return text


@pytest.mark.parametrize("length", [10, 200, 222, 223, 224, 300, 2000])
def test_a_carried_prompt_stands_before_every_window(transcribe: Transcribe, length: int) -> None:
    text = prompt_of(length)
    decoding = dataclasses.replace(GREEDY, initial_prompt=text, carry_initial_prompt=True)
    prompts, _ = transcribe(words, decoding, 90.0)
    carried = TOKENIZER.encode(" " + text)[-ROOM:]
    left = ROOM - len(carried)
    said = [token for window in range(2) for token in words(window)]
    later = [[], said[: len(words(0))], said]
    assert prompts == [carried + (tokens[-left:] if left else []) for tokens in later]


def test_a_prompt_that_is_not_carried_gives_way_to_the_text(transcribe: Transcribe) -> None:
    prompts, _ = transcribe(words, dataclasses.replace(GREEDY, initial_prompt=prompt_of(300)), 90.0)
    initial = TOKENIZER.encode(" " + prompt_of(300))
    assert prompts == [[*initial, *words(0), *words(1)][: 300 + 42 * window][-ROOM:] for window in range(3)]


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param([BEGIN, BEGIN, 400, 401], id="at the start"),
        pytest.param([400, BEGIN, BEGIN, 401], id="in the text"),
        pytest.param([BEGIN + 9, BEGIN + 9, 400, BEGIN, BEGIN], id="after a later one"),
        pytest.param([BEGIN, BEGIN], id="without any text"),
    ],
)
def test_timestamps_that_lead_nowhere_leave_the_window_one_segment(transcribe: Transcribe, tokens: list[int]) -> None:
    decoding = dataclasses.replace(GREEDY, without_timestamps=True)
    prompts, segments = transcribe(lambda _: tokens, decoding, 70.0)
    assert len(prompts) == 3
    assert [(one["seek"], one["start"], one["end"]) for one in segments] == [
        (0, 0.0, 30.0), (3000, 30.0, 60.0), (6000, 60.0, 70.0),
    ]  # fmt: skip
    said = TOKENIZER.decode([token for token in tokens if token < BEGIN])
    assert [one["text"] for one in segments] == [said] * 3


def any_tokens(seed: int) -> Script:
    """Tokens of every kind, against all rules of whisper's decoding."""

    def script(window: int) -> list[int]:
        draw = random.Random(f"{seed} {window}")
        kinds = (lambda: draw.randrange(50257), lambda: BEGIN + draw.choice((0, 1, 700, 1500)), lambda: BEGIN)
        return [draw.choice(kinds)() for _ in range(draw.randrange(8))]

    return script


def library(
    model: Any, script: Script, decoding: Decoding, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]] | None:
    """Return the segments of whisper.transcribe itself; None if it reads a window twice, for then it may never end."""
    seeks: list[int] = []

    def cut(window: torch.Tensor, length: int) -> torch.Tensor:
        seek = window.storage_offset()  # of a slice of the whole spectrogram
        if seek in seeks:
            raise EndlessError
        seeks.append(seek)
        return whisper.pad_or_trim(window, length)

    monkeypatch.setattr(importlib.import_module("whisper.transcribe"), "pad_or_trim", cut)
    monkeypatch.setattr(Whisper, "decode", lambda *_: result(script(len(seeks) - 1)))
    monkeypatch.setattr(
        TIMING, "find_alignment", lambda _model, _tokenizer, tokens, *_, **__: align(len(seeks), tokens)
    )
    try:
        found = whisper.transcribe(
            model,
            np.zeros(round(16_000 * seconds), np.float32),
            language="en",
            fp16=False,
            word_timestamps=decoding.word_timestamps,
            hallucination_silence_threshold=decoding.hallucination_silence_threshold,
        )
    except EndlessError:
        return None
    segments: list[dict[str, Any]] = found["segments"]
    return segments


@pytest.mark.parametrize(
    "decoding",
    [GREEDY, WORDS, dataclasses.replace(WORDS, hallucination_silence_threshold=0.0)],
    ids=["timestamps", "words", "skipped silence"],
)
def test_any_tokens_end_and_give_what_the_library_makes_of_them(
    model: Any, decoding: Decoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    for seed in range(25):
        script = any_tokens(seed)
        with monkeypatch.context() as patch:
            expected = library(model, script, decoding, 45.0, patch)
        prompts, ours = batched(script, decoding, 45.0)
        assert (prompts, ours) == openai(model, script, decoding, 45.0, monkeypatch), seed
        seeks = [one["seek"] for one in ours]
        assert seeks == sorted(seeks), seed
        compared += expected is not None
        assert expected in (None, ours), seed
    assert 5 <= compared < 25


def test_the_library_does_read_one_window_for_ever(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library(model, lambda _: [BEGIN, BEGIN, 400], GREEDY, 45.0, monkeypatch) is None
