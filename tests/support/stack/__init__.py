"""Set up a cluster for the demo and the end-to-end tests: images, an S3 server, the test model and a Helm release."""
