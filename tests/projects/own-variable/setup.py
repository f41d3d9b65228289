import os

from setuptools import setup

with open("own_variable.py", "w") as stream:
    stream.write("greeting = {!r}\n".format(os.environ.get("OWN_VARIABLE_GREETING", "")))

setup(
    name="own-variable",
    version="1.0",
    py_modules=["own_variable"],
)
