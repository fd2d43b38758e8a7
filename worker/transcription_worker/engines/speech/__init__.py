"""Where somebody speaks: loudness, voice activity, and the chunks that long audio is cut into."""
