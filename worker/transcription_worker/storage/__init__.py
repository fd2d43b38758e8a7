"""Read and write objects in S3. boto3 is imported in this package only."""
