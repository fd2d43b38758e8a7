"""How fast the engines are: each comparison measures all of its engines in one run and prints the ratios."""
