"""Views of Kubernetes objects as plain values. Pure, as the reconcile package is."""
