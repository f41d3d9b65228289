"""The tests of pip-accel: ``unit`` (no network, no pip), ``functional`` (whole runs), ``lib`` (what both build on)."""
