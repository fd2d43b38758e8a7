"""Result files: json, txt, srt, vtt and tsv."""
