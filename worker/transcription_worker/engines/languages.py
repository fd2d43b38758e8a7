"""English names of languages, as openai-whisper's command takes them."""

import whisper.tokenizer


def code_of(name: str) -> str | None:
    """The code of a language by its English name in lower case; None for an unknown name."""
    code = whisper.tokenizer.TO_LANGUAGE_CODE.get(name)
    return None if code is None else str(code)
