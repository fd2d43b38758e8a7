"""Parts of the spec that say how the audio is transcribed: decoding, clips, language detection, quality and subtitles."""

from dataclasses import dataclass, field

from transcription_api.choices import (
    Channel,
    EngineKind,
    LongForm,
    Precision,
    QualityPolicy,
    Truncated,
    UncertainLanguage,
)
from transcription_api.languages import CODES
from transcription_api.options import Bounds, option, required

DEFAULT_BEAM_SIZE = 5  # as the whisper command
DEFAULT_BEST_OF = 5  # as the whisper command
# Whisper's vocabularies have 51,864 tokens in English alone, 51,865 in all languages and 51,866 since large-v3.
LAST_TOKEN = 51865
LONGEST_AUDIO_SECONDS = 86400
MAX_SPLIT_CHANNELS = 16  # each is a transcript of its own
MAX_CLIPS = 100
MAX_AUDIO_TRACKS = 64

BATCHED_ALONE = (EngineKind.BATCHED,)
# faster-whisper has no place for these.
OPENAI_ALGORITHM = (EngineKind.BATCHED, EngineKind.OPENAI_WHISPER)


@dataclass(frozen=True)
class Decoding:
    """openai-whisper's options under its own names. Defaults are those of its command, which differ from its function's.

    faster-whisper reads longForm chunked with its BatchedInferencePipeline, which decodes each piece once and therefore
    looks at no threshold: that is what `chunked=BATCHED_ALONE` says.
    """

    temperatures: tuple[float, ...] = option(
        (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_items=1,
        max_items=10,
        items=Bounds(minimum=0, maximum=1),
        whisper="temperature",
        chunked=BATCHED_ALONE,
        help="Tried in this order until a window's text passes the thresholds. 0 decodes by beam search, above 0 by sampling.",
    )
    beam_size: int | None = option(
        None,
        minimum=1,
        maximum=50,
        whisper="beam_size",
        help=f"Number of beams at temperature 0. Without it {DEFAULT_BEAM_SIZE}.",
    )
    best_of: int | None = option(
        None,
        minimum=1,
        maximum=50,
        whisper="best_of",
        chunked=BATCHED_ALONE,
        help=f"Number of samples above temperature 0. Without it {DEFAULT_BEST_OF}.",
    )
    patience: float | None = option(
        None,
        minimum=0.1,
        maximum=10,
        whisper="patience",
        help="How long beam search goes on, as a factor of the beam size. Without it 1.",
    )
    length_penalty: float | None = option(
        None,
        minimum=0,
        maximum=1,
        whisper="length_penalty",
        engines=OPENAI_ALGORITHM,
        help="Exponent of the length penalty. Without it scores are divided by the length.",
    )
    initial_prompt: str | None = option(
        None,
        min_length=1,
        max_length=2048,
        whisper="initial_prompt",
        help="Text given to the model before the first window, such as names and terms. Whisper uses its last 223 tokens. "
        "All of it is words, also what looks like a special token.",
    )
    condition_on_previous_text: bool = option(
        True,
        whisper="condition_on_previous_text",
        chunked=(),
        help="Give each window the text before it. Without it texts are less consistent, but an error does not spread.",
    )
    compression_ratio_threshold: float = option(
        2.4,
        minimum=0,
        maximum=1000,
        whisper="compression_ratio_threshold",
        chunked=BATCHED_ALONE,
        help="A window whose text's gzip compression ratio is higher is repetitive and is tried at the next temperature.",
    )
    logprob_threshold: float = option(
        -1.0,
        minimum=-1000,
        maximum=0,
        whisper="logprob_threshold",
        chunked=BATCHED_ALONE,
        help="A window whose average log probability is lower is tried at the next temperature.",
    )
    no_speech_threshold: float = option(
        0.6,
        minimum=0,
        maximum=1,
        whisper="no_speech_threshold",
        chunked=BATCHED_ALONE,
        help="A window with a higher probability of no speech is silent, if its average log probability is below "
        "logprobThreshold too.",
    )
    word_timestamps: bool = option(
        False, whisper="word_timestamps", help="Find the start and end of each word. Takes longer."
    )
    carry_initial_prompt: bool = option(
        False,
        whisper="carry_initial_prompt",
        engines=OPENAI_ALGORITHM,
        help="Give the initial prompt to the model before every window and not the first alone, and what its last 223 tokens "
        "leave room for of the text before.",
    )
    hallucination_silence_threshold: float | None = option(
        None,
        minimum=0,
        maximum=30,
        whisper="hallucination_silence_threshold",
        chunked=BATCHED_ALONE,
        help="Silence of more seconds than this is skipped where the text beside it looks invented. Only with "
        "wordTimestamps. Without it nothing is skipped.",
    )
    suppress_tokens: tuple[int, ...] = option(
        (-1,),
        max_items=256,
        unique_items=True,
        items=Bounds(minimum=-1, maximum=LAST_TOKEN),
        whisper="suppress_tokens",
        help="Tokens of the model's vocabulary that are never given; others are refused. -1 stands for the symbols that "
        "nobody speaks. An empty list suppresses nothing.",
    )
    without_timestamps: bool = option(
        False,
        whisper="without_timestamps",
        help="Have the model give text alone. A segment is then a whole window; with wordTimestamps it begins and ends with "
        "its words.",
    )
    precision: Precision = option(
        Precision.AUTO,
        missing_values={
            EngineKind.OPENAI_WHISPER: (Precision.BFLOAT16, Precision.INT8, Precision.FLOAT8),
            EngineKind.FASTER_WHISPER: (Precision.FLOAT8,),
        },
        help="Numbers that the model is computed in. auto is float32 on the CPU, float16 on a GPU. float16 needs a GPU, int8 "
        "the CPU, float8 the batched engine and a GPU of compute capability 8.9 or more. 8 bits may change a word. "
        "openai-whisper has float32 and float16.",
    )
    long_form: LongForm = option(
        LongForm.SEQUENTIAL,
        missing_values={EngineKind.OPENAI_WHISPER: (LongForm.CHUNKED,)},
        help="sequential gives openai-whisper's text, each window begins where the last one's speech ended. chunked cuts at "
        "silences into chunks of 30 s at most, decoded side by side without the text before, whatever "
        "conditionOnPreviousText says.",
    )


@dataclass(frozen=True)
class Clip:
    """A range of the audio. The last clip alone may have no end."""

    start: float = field(
        metadata=required(minimum=0, maximum=LONGEST_AUDIO_SECONDS, help="Seconds from the start of the audio.")
    )
    end: float | None = option(
        None,
        minimum=0,
        maximum=LONGEST_AUDIO_SECONDS,
        help="Seconds from the start of the audio. The last clip may have none and then goes to the end of the audio.",
    )


@dataclass(frozen=True)
class AudioSelection:
    """Which part of the audio is transcribed. Without clips all of it is."""

    channel: Channel = option(
        Channel.MIX,
        help="mix mixes all channels to one. left is the first, right the second. split transcribes each of at most "
        f"{MAX_SPLIT_CHANNELS} on its own, with keys as in 01.ch0.srt and 01.ch1.srt.",
    )
    clips: tuple[Clip, ...] = option(
        (),
        max_items=MAX_CLIPS,
        whisper="clip_timestamps",
        chunked=BATCHED_ALONE,
        help="Ranges of the audio, ascending and without overlap. Times in the transcripts stay those of the whole audio. "
        "What lies past its end has no text. Without it all of it is transcribed.",
    )
    track: int | None = option(
        None,
        minimum=0,
        maximum=MAX_AUDIO_TRACKS - 1,
        help="Which audio track of a file with several, counted from 0. Without it the one that players play: the first that "
        "is marked as default, or the first.",
    )
    truncated: Truncated | None = option(
        None,
        help="What becomes of a file with less audio than its header announces. Accept transcribes what is there and warns. Fail "
        "is MediaTruncated. Without it Accept where the header alone says that there was more, Fail where an mp4 or mkv breaks "
        "off.",
    )


@dataclass(frozen=True)
class LanguageDetection:
    """How the language is found where spec.language is auto. openai-whisper looks at one window, the first."""

    windows: int = option(
        3,
        minimum=1,
        maximum=20,
        engines=(EngineKind.BATCHED, EngineKind.FASTER_WHISPER),
        help="How many windows of 30 s, spread over what is transcribed, are listened to. With 1 it is the first of what is "
        "transcribed, as in openai-whisper where there are no clips. The engine openai-whisper always looks at one, so that "
        "the default of 3 means 1 there.",
    )
    candidates: tuple[str, ...] = option(
        (),
        max_items=len(CODES),
        unique_items=True,
        items=Bounds(max_length=8, choices=CODES),
        help="Codes of the languages to choose from, those of language. Without it all that the model knows.",
    )
    min_probability: float = option(
        0.0,
        minimum=0,
        maximum=1,
        help="The least probability of the likeliest language, among the candidates where there are any. "
        "languageDetection.below says what happens below it.",
    )
    below: UncertainLanguage = option(
        UncertainLanguage.ALLOW,
        help="Where no language reaches minProbability. allow takes the likeliest nevertheless, default takes "
        "languageDetection.default, fail fails with LanguageUncertain before anything is transcribed.",
    )
    default: str | None = option(
        None,
        max_length=8,
        choices=CODES,
        help="The code of the language that languageDetection.below falls back to, only where that is default.",
    )


@dataclass(frozen=True)
class Quality:
    """What happens to windows whose text loops, lies over silence, is improbable or too fast."""

    policy: QualityPolicy = option(
        QualityPolicy.WARN,
        missing_values={
            EngineKind.OPENAI_WHISPER: (QualityPolicy.RETRY,),
            EngineKind.FASTER_WHISPER: (QualityPolicy.RETRY,),
        },
        help="warn flags suspect segments in the json and counts them in the status. retry decodes such a window again at the "
        "next temperatures and keeps the better text. fail flags, writes the transcripts, and fails with QualityRejected "
        "if the verdict is bad.",
    )


@dataclass(frozen=True)
class Subtitles:
    """How srt and vtt break lines: openai-whisper's writer options. They need decoding.word_timestamps."""

    max_line_width: int | None = option(
        None,
        minimum=1,
        maximum=1000,
        whisper="max_line_width",
        help="The most characters in a line. Without it a line is a segment.",
    )
    max_line_count: int | None = option(
        None,
        minimum=1,
        maximum=1000,
        whisper="max_line_count",
        help="The most lines in a subtitle, only with maxLineWidth. Without it a subtitle is a segment.",
    )
    max_words_per_line: int | None = option(
        None,
        minimum=1,
        maximum=1000,
        whisper="max_words_per_line",
        help="The most words in a subtitle, only without maxLineWidth.",
    )
    highlight_words: bool = option(
        False,
        whisper="highlight_words",
        help="Give a subtitle once for each of its words, underlined while it is spoken.",
    )
