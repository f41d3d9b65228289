from setuptools import Extension, setup

setup(
    name="abi3-extension",
    version="1.0",
    ext_modules=[
        Extension(
            "abi3_extension",
            ["native.c"],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            py_limited_api=True,
        )
    ],
)
