from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.octets cimport octets

cdef enum status:
    PACKET      # one more packet
    FRAME       # a record that Wireshark counts as a frame, but no packet
    AGAIN       # something was read that is neither: ask again
    MORE        # the block ended; `need` bytes from there on are wanted before anything else can be told
    STOPPED     # nothing more can be read: `problem`

cdef enum:
    NOT_NAMED = 0
    MOST_NAMES = 4096

cdef struct interface:
    uint64_t multiply       # ticks to nanoseconds: * multiply >> shift / divide
    uint64_t divide
    int64_t offset_ns
    uint32_t snap
    uint16_t link
    uint16_t name           # by its number in Names
    uint8_t shift

cdef struct record:
    uint64_t time_ns
    uint32_t interface      # its number within the section, or the index that the record gives
    uint16_t link
    uint16_t comment_length
    uint16_t note_length
    const uint8_t *comment
    const uint8_t *note         # the recorder's, see evidence/notes.py
    octets packet

cdef class Names:
    cdef list known
    cdef dict numbers
    cdef uint16_t number(self, str name) except? 0xFFFF

cdef class Walk:
    cdef Names names
    cdef int kind
    cdef bint swapped
    cdef bint nanoseconds
    cdef bint old_lengths       # very old writers: captured and real length may stand in the other order
    cdef uint32_t header        # bytes of a record's header
    cdef uint16_t link
    cdef uint64_t skipping
    cdef uint64_t last_ns
    cdef interface *interfaces
    cdef uint32_t known
    cdef uint32_t room
    cdef int failure
    cdef uint64_t figures[2]
    cdef readonly uint64_t offset    # of the next byte to be read
    cdef readonly uint32_t need
    cdef int next(self, octets *block, record *out) noexcept nogil
    cdef int stop(self, int failure, uint64_t first=*, uint64_t second=*) noexcept nogil
    cdef int more(self, uint32_t need) noexcept nogil
    cdef void consume(self, octets *block, uint64_t size) noexcept nogil
    cdef int begin(self, octets *block) noexcept nogil
    cdef int next_record(self, octets *block, record *out) noexcept nogil
    cdef int next_block(self, octets *block, record *out) noexcept nogil
    cdef int begin_section(self, const octets *block, uint32_t total) noexcept nogil
    cdef int describe_interface(self, octets *body) noexcept nogil
    cdef int read_packet(self, octets *body, uint32_t kind, record *out) noexcept nogil
    cdef int read_options(self, octets *options, interface *of, record *out) noexcept nogil
    cdef uint16_t name_of(self, const record *packet, uint32_t index) noexcept nogil
