"""The command local: many files of this machine, without a cluster and without S3."""
