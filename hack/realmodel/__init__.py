"""Whisper's tiny.en as openai-whisper opens it, converted from the model that a Python package carries for CTranslate2."""
