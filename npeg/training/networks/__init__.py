"""The networks: transforms, entropy model and their parts, and how they compute fast."""
