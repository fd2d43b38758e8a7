"""S3: the one place that knows boto3."""
