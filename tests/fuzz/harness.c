/* libFuzzer's way into the core: each input goes to tests.fuzz.target.one, in a Python that runs in this process.
 *
 * The extension modules are built with AddressSanitizer and coverage, so that the fuzzer sees which way an input took.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static PyObject *one;

static void die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	PyErr_Print();
	abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	PyConfig config;
	PyObject *module;

	(void)argc;
	(void)argv;
	PyConfig_InitPythonConfig(&config);
	if (PyStatus_Exception(PyConfig_SetBytesString(&config, &config.program_name, getenv("FUZZ_PYTHON"))) ||
	    PyStatus_Exception(Py_InitializeFromConfig(&config)))
		die("Python does not start");
	PyConfig_Clear(&config);
	module = PyImport_ImportModule("tests.fuzz.target");
	one = module ? PyObject_GetAttrString(module, "one") : NULL;
	if (!one)
		die("the target cannot be loaded");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	PyObject *done = PyObject_CallFunction(one, "y#", (const char *)data, (Py_ssize_t)size);

	if (!done)
		die("the target raised");
	Py_DECREF(done);
	return 0;
}
