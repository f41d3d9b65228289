from setuptools import setup

setup(
    name="fails-version-invalid",
    version="one point zero",
    py_modules=["fails_version_invalid"],
)
