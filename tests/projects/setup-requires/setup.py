from setuptools import setup
from setuptools.command.build_py import build_py


class Generate(build_py):
    def run(self):
        from build_helper import generate

        with open("setup_requires_generated.py", "w") as stream:
            stream.write(generate())
        super().run()


setup(
    name="setup-requires",
    version="1.0",
    setup_requires=["build-helper"],
    py_modules=["setup_requires_generated"],
    cmdclass={"build_py": Generate},
)
