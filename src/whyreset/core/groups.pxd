from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    TOP = 16
    SKETCH_BITS = 8
    REGISTERS = 256     # 2 ** SKETCH_BITS

cdef struct frequent:
    uint64_t counts[TOP]
    uint8_t addresses[TOP][16]
    uint8_t families[TOP]
    uint32_t used
    uint32_t overflowed

cdef struct remotes:
    frequent top
    uint8_t registers[REGISTERS]

cdef void frequent_add(frequent *r, uint8_t family, const uint8_t *address) noexcept nogil
cdef void remotes_add(remotes *r, uint64_t seed, uint8_t family, const uint8_t *address) noexcept nogil
cdef double remotes_distinct(const remotes *r) noexcept nogil
