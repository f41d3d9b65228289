from setuptools import setup

setup(
    name="script-crlf",
    version="1.0",
    packages=[],
    scripts=["script-crlf"],
)
