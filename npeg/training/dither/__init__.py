"""Training and export of the dither codec with learned contexts, dither8."""
