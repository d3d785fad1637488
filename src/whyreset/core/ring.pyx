# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A BPF ring buffer, mapped: records are read where the kernel wrote them, without a system call or a copy."""

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_SHARED
    void *MAP_FAILED

cdef extern from "<unistd.h>" nogil:
    long sysconf(int name)
    int _SC_PAGESIZE

cdef extern from * nogil:
    """
    static inline uint64_t load_acquire64(const uint64_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline uint32_t load_acquire32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void prefetch_lines(const unsigned char *p) { for (int i = 0; i < 256; i += 64) __builtin_prefetch(p + i); }
    static inline void store_release64(uint64_t *p, uint64_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
    """
    uint64_t load_acquire64(const uint64_t *p)
    uint32_t load_acquire32(const uint32_t *p)
    void prefetch_lines(const unsigned char *p)
    void store_release64(uint64_t *p, uint64_t v)

# Documentation/bpf/ringbuf.rst: an eight-byte header before each record
cdef uint32_t BUSY = 1U << 31
cdef uint32_t DISCARDED = 1U << 30
cdef uint32_t HEADER = 8


cdef class Ring:
    """The ring of `size` bytes behind map descriptor `fd`: a consumer page, a producer page, the data.

    The kernel has the data twice, one behind the other, so that no record wraps. Of the second only a page is mapped: no
    record is longer, and what is mapped counts as resident memory.
    """

    def __cinit__(self, int fd, size_t size):
        cdef size_t page = sysconf(_SC_PAGESIZE)
        if size == 0 or size & (size - 1):
            raise ValueError("a ring's size is a power of two")
        self.mapped = page + size + page
        self.consumer = <uint64_t *>mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if <void *>self.consumer == MAP_FAILED:
            self.consumer = NULL
            raise OSError("cannot map the ring's consumer page")
        self.pages = <unsigned char *>mmap(NULL, self.mapped, PROT_READ, MAP_SHARED, fd, page)
        if <void *>self.pages == MAP_FAILED:
            self.pages = NULL
            raise OSError("cannot map the ring's data")
        self.producer = <uint64_t *>self.pages
        self.data = self.pages + page
        self.mask = size - 1

    def __dealloc__(self):
        if self.consumer != NULL:
            munmap(self.consumer, sysconf(_SC_PAGESIZE))
        if self.pages != NULL:
            munmap(self.pages, self.mapped)

    @property
    def pending(self):
        """Bytes written and not yet read."""
        return self.available() - self.position()

    cdef uint64_t position(self) noexcept nogil:
        return self.consumer[0]

    cdef uint64_t available(self) noexcept nogil:
        cdef uint64_t end = load_acquire64(self.producer), start = self.consumer[0]
        # further than the ring is long cannot be: what no kernel says is read as nothing
        return end if end - start <= self.mask + 1 else start

    cdef void *at(self, uint64_t *position, uint64_t end, uint32_t *length) noexcept nogil:
        """The record at or after `position` and before `end`, which moves behind it; NULL where none is ready.

        A record that does not end before `end` comes with a length that no record has.
        """
        cdef uint32_t header
        cdef uint64_t following
        cdef unsigned char *record
        while position[0] < end:
            record = self.data + (position[0] & self.mask)
            header = load_acquire32(<uint32_t *>record)
            if header & BUSY:
                return NULL
            length[0] = header & ~(BUSY | DISCARDED)
            following = position[0] + ((<uint64_t>length[0] + HEADER + 7) & ~(<uint64_t>7))
            if following > end:
                length[0] = 0xFFFFFFFFU
                position[0] = end
                return record + HEADER
            position[0] = following
            if not header & DISCARDED:
                return record + HEADER
        return NULL

    cdef void prefetch(self, uint64_t position) noexcept nogil:
        """Has the cache lines at `position` fetched; beyond what is mapped it does nothing."""
        prefetch_lines(self.data + (position & self.mask))

    cdef void release(self, uint64_t position) noexcept nogil:
        """Gives the room before `position` back to the kernel."""
        store_release64(self.consumer, position)
