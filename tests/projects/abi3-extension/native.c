#include <Python.h>

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "abi3_extension", NULL, 0, NULL};

PyMODINIT_FUNC PyInit_abi3_extension(void)
{
    return PyModuleDef_Init(&definition);
}
