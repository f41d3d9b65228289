from setuptools import setup

setup(
    name="fails-script-zipapp",
    version="1.0",
    packages=[],
    scripts=["zipapp"],
)
