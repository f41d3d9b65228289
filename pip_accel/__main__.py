"""``python -m pip_accel`` is the program ``pip-accel``."""

from pip_accel.cli import main

if __name__ == "__main__":
    main()
