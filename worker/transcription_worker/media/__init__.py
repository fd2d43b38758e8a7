"""Read media files with ffmpeg under limits: their streams, their samples, and whether they are complete."""
