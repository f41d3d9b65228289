import sys

from setuptools import setup

with open("asks_for_its_command.py", "w") as stream:
    stream.write("wheel = {!r}\n".format("bdist_wheel" in sys.argv))

setup(
    name="asks-for-its-command",
    version="1.0",
    py_modules=["asks_for_its_command"],
)
