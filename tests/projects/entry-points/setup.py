from setuptools import setup

setup(
    name="entry-points",
    version="1.0",
    py_modules=["entry_points"],
    extras_require={"more": []},
    entry_points="""
        [console_scripts]
        entry-point-extra = entry_points:main [more]
        entry.point.dots=entry_points:Main.run
        entry_point_blanks   =   entry_points:main

        [entry_points.plugins]
        some thing = entry_points
    """,
)
