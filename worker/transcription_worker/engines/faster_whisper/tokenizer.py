"""Build the Hugging Face tokenizer that faster-whisper needs from openai-whisper's, so that nothing is downloaded."""

from collections.abc import Iterator

import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

Ranks = dict[bytes, int]


def build_tokenizer(encoding: tiktoken.Encoding) -> Tokenizer:
    """Build a tokenizer that encodes and decodes as the tiktoken encoding does.

    tiktoken merges the two neighbours whose merged token has the lowest rank; Hugging Face's tokenizers take a list of pairs
    to merge. The list therefore has every pair that makes a token, ordered by token.
    """
    ranks: Ranks = encoding._mergeable_ranks
    vocabulary = {_visible(token): rank for token, rank in ranks.items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=list(_merges(ranks))))
    words = pre_tokenizers.Split(Regex(encoding._pat_str), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = sorted(encoding._special_tokens.items(), key=lambda item: item[1])
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text, _ in special])
    return tokenizer


def token_texts(encoding: tiktoken.Encoding) -> list[str]:
    """All tokens in the order of their ids, in GPT-2's letters for bytes."""
    texts = {rank: _visible(token) for token, rank in encoding._mergeable_ranks.items()}
    texts |= {rank: text for text, rank in encoding._special_tokens.items()}
    return [texts[rank] for rank in range(len(texts))]


def _merges(ranks: Ranks) -> Iterator[tuple[str, str]]:
    for token in sorted(ranks, key=lambda token: ranks[token]):
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        for left, right in sorted(
            (h for h in halves if h[0] in ranks and h[1] in ranks), key=lambda h: (ranks[h[0]], ranks[h[1]])
        ):
            yield _visible(left), _visible(right)


def _letters() -> dict[int, str]:
    """GPT-2's letters for bytes (bytes_to_unicode in its encoder.py): printable bytes are themselves, others U+0100 and on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


_LETTERS = _letters()


def _visible(token: bytes) -> str:
    return "".join(_LETTERS[byte] for byte in token)
