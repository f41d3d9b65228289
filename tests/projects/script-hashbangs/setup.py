from setuptools import setup

setup(
    name="script-hashbangs",
    version="1.0",
    scripts=[
        "scripts/hashbang-python",
        "scripts/hashbang-python-u",
        "scripts/hashbang-usr-bin",
        "scripts/hashbang-blank",
        "scripts/hashbang-env",
        "scripts/hashbang-env-s",
        "scripts/hashbang-pypy",
        "scripts/hashbang-pythonw",
        "scripts/hashbang-sh",
    ],
    packages=[],
)
