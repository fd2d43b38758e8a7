"""Carries a decision out: observe, decide, apply, and what runs beside it: events, progress, leader election."""
