from setuptools import setup

setup(
    name="headers-in-c",
    version="1.0",
    py_modules=["headers_in_c"],
    headers=["odd.h", "include/deep.h"],
)
