"""The product on a cluster, for demo and e2e alike: images, S3 server, test model, Helm release."""
