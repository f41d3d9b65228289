from setuptools import setup

setup(
    name="sdist-egg-info",
    version="1.0",
    packages=["sdist_egg_info"],
    include_package_data=True,
)
