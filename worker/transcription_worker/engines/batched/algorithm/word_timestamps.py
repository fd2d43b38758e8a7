"""Word timestamps: whisper.timing, with alignments that were computed for many windows together."""

import importlib
import types
from collections.abc import Callable
from typing import Any

from whisper.timing import WordTiming
from whisper.tokenizer import Tokenizer

from transcription_worker.engines.batched.algorithm.segmentation import Segment

# The module, not the function: add_word_timestamps looks find_alignment up among the module's globals.
_timing: Any = importlib.import_module("whisper.timing")


def text_tokens(segments: list[Segment], tokenizer: Tokenizer) -> list[int]:
    """The tokens of all segments without timestamps and special tokens."""
    return [token for segment in segments for token in segment["tokens"] if token < tokenizer.eot]


def add_words(
    segments: list[Segment], tokenizer: Tokenizer, alignment: list[WordTiming], last_speech_timestamp: float
) -> None:
    """Run whisper.timing.add_word_timestamps, its own code, on an alignment that has been computed before.

    last_speech_timestamp: end of the words before, in seconds.
    """
    _with_alignment(lambda *_args, **_kwargs: alignment)(
        segments=segments,
        model=None,
        tokenizer=tokenizer,
        mel=None,
        num_frames=0,
        last_speech_timestamp=last_speech_timestamp,
    )


def _with_alignment(find_alignment: Callable[..., list[WordTiming]]) -> Callable[..., None]:
    """A copy of add_word_timestamps that calls this find_alignment."""
    original = _timing.add_word_timestamps
    names = {**vars(_timing), "find_alignment": find_alignment}
    bound = types.FunctionType(original.__code__, names, closure=original.__closure__)
    bound.__kwdefaults__ = original.__kwdefaults__
    return bound
