#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_meson_native", NULL, 0, NULL};

PyMODINIT_FUNC PyInit__meson_native(void)
{
    return PyModuleDef_Init(&definition);
}
