"""From a source of inputs to a sink of results: the one course of work of the commands run and local."""
