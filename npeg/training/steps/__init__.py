"""Steps between two trainings, each a program: `python -m npeg.training.steps.reshape`."""
