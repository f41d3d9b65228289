from setuptools import setup

setup(
    name="script-named-as-entry-point",
    version="1.0",
    py_modules=["script_named"],
    scripts=["bin/script-named-as-entry-point"],
    entry_points={"console_scripts": ["script-named-as-entry-point = script_named:main"]},
)
