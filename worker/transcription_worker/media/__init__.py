"""What a media file is, by ffmpeg under limits: its streams, its samples, and whether it is whole."""
