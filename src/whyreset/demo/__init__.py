"""The demo: real resets of many causes, made in network namespaces that die with the process.

`Demo` (demo.py) starts it, `SCENES` (scenes.py) is what it plays. Only Python and the kernel are needed for it.
"""
