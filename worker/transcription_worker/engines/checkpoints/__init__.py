"""Checkpoints: reading them, in which precision their weights are stored, and building the model."""
