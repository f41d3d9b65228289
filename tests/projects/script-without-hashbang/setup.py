from setuptools import setup

setup(
    name="script-without-hashbang",
    version="1.0",
    packages=[],
    scripts=["script-without-hashbang"],
)
