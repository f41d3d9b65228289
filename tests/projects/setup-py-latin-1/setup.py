# -*- coding: latin-1 -*-
from setuptools import setup

setup(
    name='setup-py-latin-1',
    version='1.0',
    author='Jürgen',
    description='''One line''',
    py_modules=['setup_py_latin_1'],
)
