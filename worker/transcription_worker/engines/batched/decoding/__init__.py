"""From logits to tokens: openai-whisper's filters, sampling and beam search, many rows at a time."""
