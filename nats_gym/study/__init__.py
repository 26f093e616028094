"""Agents × spaces × data sets × budgets × runs, on disk, and what is made of them."""
