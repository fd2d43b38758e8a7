"""Speech in audio: loudness, voice activity, and the chunks that long audio is cut into."""
