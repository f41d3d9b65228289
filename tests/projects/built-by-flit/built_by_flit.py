"""A module whose first line describes it."""

__version__ = "1.0"


def main():
    print(__version__)
