"""The batch/v1 Job of a resource. Pure, as reconcile is."""
