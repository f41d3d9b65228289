from setuptools import Distribution, setup


class Platform(Distribution):
    def has_ext_modules(self):
        return True


setup(
    name="pure-platlib",
    version="1.0",
    packages=["pure_platlib"],
    distclass=Platform,
)
