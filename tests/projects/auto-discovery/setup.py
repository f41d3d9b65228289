from setuptools import setup

setup(
    name="auto-discovery",
    version="1.0",
    description="All but the essential.",
)
