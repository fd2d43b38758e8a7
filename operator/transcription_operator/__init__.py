"""The operator: watches TranscriptionJob resources and runs each as a Job."""
