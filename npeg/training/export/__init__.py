"""Trained networks to the graphs and tables that a model folder holds."""
