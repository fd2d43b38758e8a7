"""openai-whisper's algorithm for each file, many files at a time.

A stream (stream.py) is one file's sequential algorithm as a generator: it asks for windows to be encoded and decoded. The
engine (engine.py) gathers what all streams ask for. A lane (lane.py) decodes many windows together, one token a step.
"""
