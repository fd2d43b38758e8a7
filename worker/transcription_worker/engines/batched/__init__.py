"""openai-whisper's algorithm for each file, many files at a time.

A Transcriber (algorithm/transcriber.py) is the sequential algorithm of one file, written as a generator: it yields requests
to encode, decode or align windows. Schedulers (scheduling/scheduler.py) collect the requests of all files. A DecodeBatch
(scheduling/decode_batch.py) decodes many windows together, one token a step.
"""
