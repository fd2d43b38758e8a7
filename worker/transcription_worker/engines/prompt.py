"""The initial prompt as tokens. All of its text is words, also where it looks like one of Whisper's special tokens."""

from typing import Any


def encode_prompt(tokenizer: Any, prompt: str) -> list[int]:
    """The tokens of a prompt's text, as whisper.transcribe encodes it.

    `<|endoftext|>` in it is encoded like any other text; tiktoken refuses it unless it is told so. tokenizer: a
    whisper.tokenizer.Tokenizer.
    """
    tokens: list[int] = tokenizer.encode(" " + prompt.strip(), disallowed_special=())
    return tokens


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each lone surrogate, as tiktoken reads it. Bytes that are no UTF-8 come in as surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def carry_prompt(initial: list[int], later: list[int], room: int) -> list[int]:
    """The tokens before a window with carry_initial_prompt.

    The initial prompt's last tokens come first, and what room they leave has the last tokens of the text since then.
    whisper.transcribe counts the room below 0 where the prompt is longer than that, and then drops a part of it.

    Args:
        initial: Tokens of the initial prompt.
        later: Tokens of the text decoded since.
        room: Tokens of prompt that the text decoder takes.
    """
    carried = initial[-room:]
    left = room - len(carried)
    return carried + (later[-left:] if left else [])
