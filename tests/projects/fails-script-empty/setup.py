from setuptools import setup

setup(
    name="fails-script-empty",
    version="1.0",
    packages=[],
    scripts=["script-that-is-empty"],
)
