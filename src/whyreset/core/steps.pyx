# cython: language_level=3
"""The segments of one connection: its beginning and its end, however long it is."""

from collections import deque

cdef enum:
    MOST = 1000


cdef class Steps:
    """Keeps up to a thousand segments at each end of the connection with this number."""

    def __cinit__(self, uint64_t connection):
        self.connection = connection
        self.first = []
        self.last = deque(maxlen=MOST)

    def all(self):
        """Those that were kept, in their order."""
        return [*self.first, *self.last]

    cdef int add(self, object step) except -1:
        if len(self.first) < MOST:
            self.first.append(step)
        else:
            self.between += len(self.last) == MOST
            self.last.append(step)
        return 0
