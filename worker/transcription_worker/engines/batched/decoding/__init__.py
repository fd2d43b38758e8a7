"""Choose tokens from logits: openai-whisper's logit filters, sampling and beam search, many rows at a time."""
