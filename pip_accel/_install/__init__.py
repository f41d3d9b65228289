"""From trees to files in an environment: what goes where is decided, then written as one transaction."""
