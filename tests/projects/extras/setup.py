from setuptools import setup

setup(
    name="extras",
    version="1.0",
    py_modules=["extras"],
    install_requires=["no-such-thing; python_version < '3'"],
    extras_require={"more": ["dependency"], ":python_version < '3'": ["no-such-thing"], "none": []},
)
