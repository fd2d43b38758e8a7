"""What the project keeps of a release, for tests of upgrades."""
