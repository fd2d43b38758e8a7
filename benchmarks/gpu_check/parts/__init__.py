"""The parts that are programs of their own; each writes its figures as soon as it has them."""
