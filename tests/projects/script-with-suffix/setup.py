from setuptools import setup

setup(
    name="script-with-suffix",
    version="1.0",
    packages=[],
    scripts=["script_with_suffix.py"],
)
