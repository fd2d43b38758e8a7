"""Views of Kubernetes' objects as plain values. Pure, as reconcile is."""
