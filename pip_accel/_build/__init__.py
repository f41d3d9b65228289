"""From an sdist to a binary distribution archive, in an isolated environment filled from the store."""
