"""What turns samples into text. torch and whisper are imported here alone (and in device)."""
