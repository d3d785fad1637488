"""Other kernels: Debian's packages of them, booted under emulation, so that tests run there too."""
