from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    SKETCH_BITS = 12
    REGISTERS = 4096        # 2 ** SKETCH_BITS
    PORT_BYTES = 8192

cdef struct accounts:           # what groups are told to have; all zeros: nothing
    uint8_t senders[REGISTERS]
    uint8_t receivers[REGISTERS]
    uint8_t ports[PORT_BYTES]

cdef void note_address(uint8_t *registers, const uint8_t *address) noexcept nogil
cdef double addresses_noted(const uint8_t *registers) noexcept nogil
cdef uint32_t ports_noted(const uint8_t *ports) noexcept nogil


cdef inline void note_port(uint8_t *ports, uint16_t port) noexcept nogil:
    ports[port >> 3] |= 1 << (port & 7)
