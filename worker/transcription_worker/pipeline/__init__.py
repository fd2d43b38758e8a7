"""Lead inputs from a source through the engine to a sink of results, for the commands run and local alike."""
