from libc.stdint cimport uint8_t, uint32_t

from whyreset.core.table cimport Table, facts_key, group, sample

cdef class Values:
    cdef tuple reasons
    cdef tuple states
    cdef uint32_t hz
    cdef dict facts
    cdef object group_value(self, Table table, int index)
    cdef str address(self, int family, const uint8_t *data)
    cdef str state(self, int number)
    cdef str reason(self, int direction, int number)
    cdef str letters(self, int flags)
    cdef object facts_value(self, facts_key *f)
    cdef object record(self, const sample *s)
