import os

from setuptools import setup

for stream in (1, 2):
    os.write(stream, b"gr\xfc\xdfe \x00\x1b[31m\xff\xfe\n")

setup(
    name="output-not-utf8",
    version="1.0",
    py_modules=["output_not_utf8"],
)
