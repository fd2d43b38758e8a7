"""Measure the engines' speed: each comparison runs all of its engines in turn and prints the ratios."""
