from libc.stdint cimport uint64_t

cdef class Steps:
    cdef uint64_t connection    # its number; 0: of none
    cdef list first
    cdef object last
    cdef readonly uint64_t between
    cdef int add(self, object step) except -1
