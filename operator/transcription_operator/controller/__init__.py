"""Run the reconciler from the work queue, and what accompanies it: events, progress, leader election."""
