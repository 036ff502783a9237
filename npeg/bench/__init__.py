"""The bench: image codecs side by side, on the same photographs, with the same measures."""
