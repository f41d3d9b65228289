from setuptools import setup

setup(
    name="gui-scripts",
    version="1.0",
    py_modules=["gui_scripts"],
    entry_points={"gui_scripts": ["gui-script = gui_scripts:main"]},
)
