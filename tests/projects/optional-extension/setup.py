from setuptools import Extension, setup

setup(
    name="optional-extension",
    version="1.0",
    packages=["optional_extension"],
    ext_modules=[Extension("optional_extension._native", ["native.c"], optional=True)],
)
