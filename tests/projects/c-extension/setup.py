from setuptools import Extension, setup

setup(
    name="c-extension",
    version="1.0",
    packages=["c_extension"],
    ext_modules=[Extension("c_extension._native", ["native.c"])],
)
