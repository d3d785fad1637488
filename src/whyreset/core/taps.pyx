# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The ring of a packet socket (TPACKET_V3), mapped: packets are taken where the kernel wrote them.

Each block that is full, or old enough, belongs to user space until it is given back. networking/packet_mmap.rst of the
kernel's documentation.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.octets cimport *

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_SHARED
    void *MAP_FAILED

cdef extern from "<linux/if_packet.h>" nogil:
    enum:
        TP_STATUS_USER, TP_STATUS_KERNEL, TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
    struct tpacket_hdr_v1:
        uint32_t block_status, num_pkts, offset_to_first_pkt, blk_len
    union tpacket_bd_header_u:
        tpacket_hdr_v1 bh1
    struct tpacket_block_desc:
        uint32_t version
        tpacket_bd_header_u hdr
    struct tpacket_hdr_variant1:
        uint32_t tp_vlan_tci
        uint16_t tp_vlan_tpid
    struct tpacket3_hdr:
        uint32_t tp_next_offset, tp_sec, tp_nsec, tp_snaplen, tp_len, tp_status
        uint16_t tp_mac, tp_net
        tpacket_hdr_variant1 hv1
    struct sockaddr_ll:
        uint16_t sll_protocol
        int sll_ifindex
        uint16_t sll_hatype
        uint8_t sll_pkttype

cdef extern from * nogil:
    """
    static inline uint32_t tap_status(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
    static inline void tap_give_back(uint32_t *p) { __atomic_store_n(p, TP_STATUS_KERNEL, __ATOMIC_RELEASE); }
    #define TAP_ADDRESS_AT TPACKET_ALIGN(sizeof(struct tpacket3_hdr))
    """
    uint32_t tap_status(const uint32_t *)
    void tap_give_back(uint32_t *)
    uint32_t TAP_ADDRESS_AT

cdef enum:
    ARPHRD_ETHER = 1
    ARPHRD_LOOPBACK = 772
    IP_4 = 0x0800
    IP_6 = 0x86DD
    VLAN = 0x8100
    EN10MB = 1              # link types
    IPV4 = 228
    IPV6 = 229


cdef class Sink:
    """Takes packets, one after the other."""

    cdef void take(self, const frame *f) noexcept nogil:
        """One packet."""

    cdef void settle(self) noexcept nogil:
        """The end of a block: its bytes are given back."""


cdef class Listing(Sink):
    """See taps.pyi."""

    cdef readonly list frames
    cdef uint32_t most

    def __cinit__(self, uint32_t most=1024):
        self.frames, self.most = [], most

    cdef void take(self, const frame *f) noexcept nogil:
        with gil:
            if <uint32_t>len(self.frames) < self.most:
                self.frames.append(
                    (f.time_ns, f.ifindex, f.direction, f.link, f.length, f.at[:f.captured], f.tag if f.tag_type else None)
                )


cdef class Tap:
    """See taps.pyi."""

    def __cinit__(self, int fd, uint32_t block_bytes, uint32_t blocks):
        self.block_bytes, self.blocks = block_bytes, blocks
        self.mapped_bytes = <uint64_t>block_bytes * blocks
        self.mapped = <uint8_t *>mmap(NULL, self.mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if <void *>self.mapped == MAP_FAILED:
            self.mapped = NULL
            raise OSError("cannot map the ring of a packet socket")

    def __dealloc__(self):
        if self.mapped != NULL:
            munmap(self.mapped, self.mapped_bytes)

    def drain(self, list sinks not None):
        """Hands on what has come; see taps.pyi."""
        cdef uint32_t i
        cdef uint64_t before = self.packets
        cdef tpacket_block_desc *block
        for each in sinks:
            if not isinstance(each, Sink):
                raise TypeError("packets are taken by a Sink")
        # once around at most, so that a flood does not keep us here
        for i in range(self.blocks):
            block = <tpacket_block_desc *>(self.mapped + <uint64_t>self.next * self.block_bytes)
            if not tap_status(&block.hdr.bh1.block_status) & TP_STATUS_USER:
                break
            self.walk(<uint8_t *>block, sinks)
            for each in sinks:
                (<Sink>each).settle()
            tap_give_back(&block.hdr.bh1.block_status)
            self.next = (self.next + 1) % self.blocks
        return self.packets - before

    cdef int walk(self, uint8_t *start, list sinks) except -1:
        cdef const tpacket_block_desc *block = <const tpacket_block_desc *>start
        cdef uint32_t count = block.hdr.bh1.num_pkts, at = block.hdr.bh1.offset_to_first_pkt, i, step
        cdef frame f
        cdef Sink first = sinks[0] if len(sinks) == 1 else None
        for i in range(count):
            if not self.read(start, at, self.block_bytes, &f):
                self.misread += count - i
                return 0
            self.packets += 1
            if first is not None:
                first.take(&f)
            else:
                for each in sinks:
                    (<Sink>each).take(&f)
            step = (<const tpacket3_hdr *>(start + at)).tp_next_offset
            if step == 0:
                self.misread += count - i - 1
                return 0
            at += step
        return 0

    cdef bint read(self, const uint8_t *block, uint32_t at, uint32_t limit, frame *f) noexcept nogil:
        """One packet of a block; False where what is written there cannot be one."""
        cdef const tpacket3_hdr *header = <const tpacket3_hdr *>(block + at)
        cdef const sockaddr_ll *address
        cdef uint32_t begin, room
        if at & 7 or at > limit or limit - at < TAP_ADDRESS_AT + sizeof(sockaddr_ll):
            return False
        room = limit - at
        if header.tp_mac > room or header.tp_snaplen > room - header.tp_mac or header.tp_next_offset > room:
            return False
        address = <const sockaddr_ll *>(block + at + TAP_ADDRESS_AT)
        f.time_ns = <uint64_t>header.tp_sec * 1000000000 + header.tp_nsec
        f.ifindex = address.sll_ifindex
        f.direction = address.sll_pkttype
        f.tag = f.tag_type = 0
        if header.tp_status & TP_STATUS_VLAN_VALID:
            f.tag = <uint16_t>header.hv1.tp_vlan_tci
            f.tag_type = header.hv1.tp_vlan_tpid if header.tp_status & TP_STATUS_VLAN_TPID_VALID else VLAN
        begin = header.tp_mac
        f.link = EN10MB
        if address.sll_hatype != ARPHRD_ETHER and address.sll_hatype != ARPHRD_LOOPBACK:
            # whatever that device writes before it, the kernel knows where IP begins
            begin = header.tp_net
            f.link = NO_LINK
            if address.sll_protocol == __builtin_bswap16(IP_4):
                f.link = IPV4
            elif address.sll_protocol == __builtin_bswap16(IP_6):
                f.link = IPV6
        if begin < header.tp_mac or begin - header.tp_mac > header.tp_snaplen:
            begin = header.tp_mac
            f.link = NO_LINK
        f.at = block + at + begin
        f.captured = header.tp_snaplen - (begin - header.tp_mac)
        f.length = header.tp_len - (begin - header.tp_mac) if header.tp_len >= header.tp_snaplen else f.captured
        return True
