"""How fast the engines are beside each other: every comparison runs all its sides in one run and prints the ratio."""
