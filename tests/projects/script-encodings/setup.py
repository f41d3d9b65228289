from setuptools import setup

setup(
    name="script-encodings",
    version="1.0",
    packages=[],
    scripts=["script-latin-1", "script-utf-8"],
)
