"""Render the batch/v1 Job of a resource. Pure, as the reconcile package is."""
