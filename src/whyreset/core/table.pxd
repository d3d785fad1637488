from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.events cimport reset_event
from whyreset.core.groups cimport remotes

cdef enum:
    # facts beyond the kernel's flags
    BY_OWNER = 1 << 24
    PAYLOAD = 1 << 25
    OPTIONS = 1 << 26
    UNREAD = 1 << 27
    AT_ONCE = 1 << 28
    CROWDED = 1 << 29
    SOON = 1 << 30
    PAST_STACK = 0x80000000
    # of sample.ended_ms: nothing was remembered
    NOT_REMEMBERED = 0xFFFFFFFF

# what the connection of a four-tuple had ended by
cdef enum:
    ORDERLY = 1
    HALF_CLOSED = 2
    ENDED_RESET_SENT = 3
    ENDED_RESET_RECEIVED = 4
    ABANDONED = 5
    SILENT = 6

# a trigger's place against a remembered connection, or one that is being opened
cdef enum:
    OLD = 1
    LAST_ACK_OF_ALL = 2
    NEW = 3
    FITS = 4

cdef struct facts_key:
    uint32_t flags
    uint8_t direction, reason, state, state_before, substate, trigger, ended, segment

cdef struct group_key:
    facts_key facts
    uint32_t netns_inode
    uint64_t netns_cookie
    uint64_t owner_start_ns
    uint64_t closer_start_ns
    uint64_t twin_group          # number of the sent group; 0
    uint32_t owner_pid
    uint32_t closer_pid
    uint32_t exit_code
    uint16_t port
    uint8_t owner_via
    uint8_t pad

cdef struct group:
    group_key key
    uint64_t hash
    uint64_t count
    uint64_t first_ns
    uint64_t last_ns
    uint64_t number              # of its first record
    uint64_t last_number
    uint64_t twin
    uint64_t wired               # seen on the wire too
    int32_t first_sample
    int32_t last_sample
    uint32_t kept
    uint32_t kind
    remotes remotes

cdef struct sample:
    reset_event event
    uint64_t number
    uint64_t twin
    uint32_t ended_ms            # 0xffffffff: nothing remembered
    int32_t next

cdef class Table:
    cdef group *groups
    cdef sample *samples
    cdef int used
    cdef uint64_t crowded
    cdef uint64_t flushes
    cdef int32_t *slots
    cdef uint16_t *kinds         # groups of each kind
    cdef uint8_t *served         # bits of ports that somebody listened on, by their hash
    cdef uint16_t *kinds_kept    # records kept of each kind
    cdef int latest
    cdef int group_limit
    cdef int kind_limit
    cdef int samples_used
    cdef int sample_limit
    cdef uint32_t samples_per_group
    cdef int samples_per_kind
    cdef uint64_t seed
    cdef void serve(self, uint64_t netns_cookie, uint16_t port) noexcept nogil
    cdef int place(self, group_key *key, uint64_t number) noexcept nogil
    cdef int lookup(self, const group_key *key, uint64_t number, int limit) noexcept nogil
    cdef void count(self, int index, const reset_event *e, uint64_t number) noexcept nogil
    cdef int32_t keep(self, int index, const reset_event *e, uint64_t number, uint32_t ended_ms) noexcept nogil
    cdef void clear(self) noexcept nogil
