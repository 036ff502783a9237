"""Points to results: codecs run on photographs, measured, verified and stored."""
