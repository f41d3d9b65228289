from setuptools import setup

import helpers

setup(
    name="imports-from-its-tree",
    version="1.0",
    py_modules=["imports_from_its_tree"],
    description=helpers.DESCRIPTION,
)
