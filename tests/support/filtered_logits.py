"""Make rows of tokens and logits for tests of the logit rules, and apply whisper.decoding's own filters to them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transcription_worker.engines.batched.decoding.logit_rules import LogitRules, RuleState
from transcription_worker.engines.batched.kernels.linear_cpu import pack_weight
from whisper.decoding import ApplyTimestampRules, LogitFilter, SuppressBlank, SuppressTokens
from whisper.tokenizer import Tokenizer, get_tokenizer

TOKENIZER: Tokenizer = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
VOCABULARY = 51865
CPU = torch.device("cpu")
SUPPRESSED = (*TOKENIZER.non_speech_tokens, TOKENIZER.sot, TOKENIZER.sot_prev, TOKENIZER.no_timestamps)


def rules(timestamps: bool = True, max_initial_timestamp_index: int | None = 50) -> LogitRules:
    blank = (*TOKENIZER.encode(" "), TOKENIZER.eot)
    return LogitRules(
        TOKENIZER.eot, TOKENIZER.timestamp_begin, SUPPRESSED, blank, timestamps, max_initial_timestamp_index
    )


def filters(of: LogitRules) -> list[LogitFilter]:
    """Return the filters of whisper.decoding.DecodingTask in its order, with no prompt before the sampled tokens."""
    found: list[LogitFilter] = [SuppressBlank(TOKENIZER, 0), SuppressTokens(list(of.suppressed))]
    return [*found, ApplyTimestampRules(TOKENIZER, 0, of.max_initial_timestamp_index)] if of.timestamps else found


def history(chance: random.Random, length: int) -> list[int]:
    """Return text and timestamps that never go back, in pairs or not."""
    tokens: list[int] = []
    stamp = TOKENIZER.timestamp_begin
    for _ in range(length):
        if chance.random() < 0.4:
            stamp = min(stamp + chance.randrange(0, 300), VOCABULARY - 1)
            tokens.append(stamp)
        else:
            tokens.append(chance.randrange(0, TOKENIZER.eot))
    return tokens


def state_after(histories: list[list[int]], of: LogitRules) -> RuleState:
    """Return the state of rows that were given these tokens one after the other."""
    state = RuleState.empty(len(histories), of, CPU)
    for step in range(max(map(len, histories))):
        active = torch.tensor([step < len(tokens) for tokens in histories])
        given = torch.tensor([tokens[step] if step < len(tokens) else 0 for tokens in histories])
        state.update(given, active, of, len(histories))
    return state


def batches() -> Iterator[tuple[list[list[int]], torch.Tensor]]:
    """Yield rows of one length at a time, as whisper's filters take them. Some logits favour timestamps."""
    chance = random.Random(5)
    generator = torch.Generator().manual_seed(5)
    for length in (0, 0, 1, 1, 2, 3, 4, 7, 20):
        rows = [history(chance, length) for _ in range(16)]
        logits = torch.randn(16, VOCABULARY, generator=generator) * 3
        logits[::3, TOKENIZER.timestamp_begin :] += 4
        yield rows, logits


def expected(rows: list[list[int]], logits: torch.Tensor, of: LogitRules) -> torch.Tensor:
    """Return the log probabilities after whisper's own filters."""
    filtered = logits.clone()
    tokens = torch.tensor(rows, dtype=torch.int64).reshape(len(rows), -1)
    for one in filters(of):
        one.apply(filtered, tokens)
    return filtered.log_softmax(dim=-1)


def mixed() -> tuple[list[list[int]], torch.Tensor]:
    """Return rows of different lengths, and their logits."""
    chance = random.Random(6)
    rows = [history(chance, length) for length in (1, 2, 3, 5, 9, 14)]
    return rows, torch.randn(len(rows), VOCABULARY, generator=torch.Generator().manual_seed(6))


@dataclass
class Logits:
    """A stub of the decoder. The hidden states are unit vectors, so row n of a batch gets the logits of row n."""

    of: torch.Tensor

    @property
    def embedding(self) -> torch.Tensor:
        return self.of.T.contiguous()

    @property
    def packed_embedding(self) -> Any:
        return pack_weight(self.embedding)

    def final_norm(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden @ self.of
