"""The tokenizer made for faster-whisper gives openai-whisper's tokens for any text, and its text for any tokens."""

import random
from typing import Any

import pytest
from tokenizers import Tokenizer
from transcription_worker.engines.faster_whisper.tokenizer import build_tokenizer, token_texts
from whisper.tokenizer import get_tokenizer

VOCABULARIES = {"english": (False, 99), "multilingual": (True, 99), "large-v3": (True, 100)}
LETTERS = [
    *map(chr, range(32, 127)),
    *"àéîõüçñßøåæœğışłżźčřűőëïÿабвгдежзиклмнопрстуфхцчшщыэюя你好世界東京都語言こんにちはカタカナ한국어는العربيةहिन्दीไทย",
    *("🎉", "👩‍👩‍👧", "\u00a0", "\u200b", "\t", "\n", "\r\n", "  ", "   ", "\u0301", "①", "½", "٣", "１"),
]


@pytest.fixture(scope="module", params=list(VOCABULARIES))
def pair(request: pytest.FixtureRequest) -> tuple[Any, Tokenizer]:
    multilingual, languages = VOCABULARIES[request.param]
    encoding = get_tokenizer(multilingual, num_languages=languages).encoding
    return encoding, build_tokenizer(encoding)


def texts(draw: random.Random, encoding: Any) -> list[str]:
    """Return letters of many scripts, one syllable again and again, where the order of merges shows, and random tokens."""
    syllable = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz ", k=draw.randrange(1, 5)))
    return [
        "".join(draw.choices(LETTERS, k=draw.randrange(1, 40))),
        draw.choice(LETTERS) * draw.randrange(1, 60),
        syllable * draw.randrange(1, 30),
        "".join(draw.choice("aeiou !?.-=_*#") * draw.randrange(1, 9) for _ in range(10)),
        "".join(encoding.decode([draw.randrange(encoding.eot_token)]) for _ in range(12)),
    ]


def test_texts_become_the_same_tokens(pair: tuple[Any, Tokenizer]) -> None:
    encoding, tokenizer = pair
    draw = random.Random(0)
    for _ in range(1000):
        for text in texts(draw, encoding):
            expected = encoding.encode(text, disallowed_special=())
            assert tokenizer.encode(text, add_special_tokens=False).ids == expected, repr(text)


def test_tokens_become_the_same_text_where_they_are_parts_of_letters_too(pair: tuple[Any, Tokenizer]) -> None:
    encoding, tokenizer = pair
    draw = random.Random(1)
    for _ in range(5000):
        # The first 256 are single bytes.
        tokens = [draw.randrange(draw.choice((256, encoding.eot_token))) for _ in range(draw.randrange(1, 20))]
        assert tokenizer.decode(tokens) == encoding.decode(tokens), tokens


def test_special_tokens_have_the_same_ids(pair: tuple[Any, Tokenizer]) -> None:
    encoding, tokenizer = pair
    assert {text: tokenizer.token_to_id(text) for text in encoding._special_tokens} == encoding._special_tokens
    assert token_texts(encoding) == [tokenizer.id_to_token(token) for token in range(encoding.n_vocab)]
