"""``python -m pip_accel`` is the program ``pip-accel``."""

from pip_accel.cli import run_alone

if __name__ == "__main__":
    run_alone()
