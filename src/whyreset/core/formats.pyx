# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The formats of capture files: pcap in all its dialects, and pcapng. What is read may come in blocks of any size.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Where these leave open what a reader does with bad input, it
does as Wireshark does, which sets what people take for the number of a frame.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

from whyreset.core.octets cimport *

cdef extern from * nogil:
    """
    static inline uint64_t whyreset_scale(uint64_t ticks, uint64_t multiply, unsigned shift, uint64_t divide) {
        return (uint64_t)((unsigned __int128)ticks * multiply >> shift) / divide;
    }
    """
    uint64_t scale "whyreset_scale"(uint64_t ticks, uint64_t multiply, unsigned int shift, uint64_t divide)

cdef enum:
    UNKNOWN = 0
    PCAP
    PCAPNG

    # who says that more was captured is lying (Wireshark: WTAP_MAX_PACKET_SIZE_STANDARD), or that a block is larger
    MOST_CAPTURED = 262144
    MOST_BLOCK = 134348832
    # what lies beyond this in a block of a pcapng is passed over
    WINDOW = 1 << 20
    MOST_INTERFACES = 65536
    MOST_COMMENT = 4096
    NOTE_MARK = 11
    MOST_NOTE = 2048

    SECTION = 0x0A0D0D0A
    INTERFACE = 1
    OBSOLETE_PACKET = 2
    SIMPLE_PACKET = 3
    ENHANCED_PACKET = 6
    JOURNAL = 9

    OPTION_COMMENT = 1
    OPTION_NAME = 2
    OPTION_RESOLUTION = 9
    OPTION_OFFSET = 14
    OPTION_NOTE = 0xF257     # for local use: others' begin with another mark

    # why reading stops
    NO_CAPTURE = 1
    VERSION
    TOO_LONG
    BLOCK_SHORT
    BLOCK_LONG
    BLOCK_ENDS
    BLOCK_PACKET
    BYTE_ORDER
    NO_INTERFACE
    TOO_MANY_INTERFACES
    OPTION_LONG
    NO_MEMORY

cdef dict SENTENCES = {
    NO_CAPTURE: "this is no capture: it begins with neither pcap's nor pcapng's mark",
    VERSION: "version {0}.{1} of its format is not known",
    TOO_LONG: "a packet of {0} bytes cannot be: the most is {1}",
    BLOCK_SHORT: "a block of {0} bytes cannot be: the least is {1}",
    BLOCK_LONG: "a block of {0} bytes cannot be: the most is {1}",
    BLOCK_ENDS: "a block's two lengths differ: {0} at its beginning, {1} at its end",
    BLOCK_PACKET: "a block of {1} bytes cannot hold a packet of {0}",
    BYTE_ORDER: "a section's byte order mark is wrong: {0:#x}",
    NO_INTERFACE: "a packet names interface {0}, but the section describes only {1}",
    TOO_MANY_INTERFACES: "a section describes more than {0} interfaces",
    OPTION_LONG: "an option of {0} bytes does not fit into its block",
    NO_MEMORY: "there is no memory for its interfaces",
}

cdef inline uint16_t get16(bint swapped, const octets *o, uint32_t offset) noexcept nogil:
    return be16(o, offset) if swapped else le16(o, offset)


cdef inline uint32_t get32(bint swapped, const octets *o, uint32_t offset) noexcept nogil:
    return be32(o, offset) if swapped else le32(o, offset)


#: as Wireshark, so that frames have its numbers: these blocks are frames, though no packets (custom blocks, a systemd
#: journal's entry, sysdig's events)
cdef inline bint is_frame(uint32_t kind) noexcept nogil:
    return kind == 0xBAD or kind == 0x40000BAD or kind == JOURNAL or kind == 0x204 or kind == 0x216 or kind == 0x221


cdef class Names:
    """Names of interfaces, each once; those beyond the room are told as none."""

    def __cinit__(self):
        self.known = [""]
        self.numbers = {"": NOT_NAMED}

    def __getitem__(self, number):
        return self.known[number]

    cdef uint16_t number(self, str name) except? 0xFFFF:
        found = self.numbers.get(name)
        if found is not None:
            return found
        if len(self.known) == MOST_NAMES:
            return NOT_NAMED
        self.known.append(name)
        self.numbers[name] = len(self.known) - 1
        return len(self.known) - 1


cdef class Walk:
    """One file: what is fed block by block comes out packet by packet."""

    def __cinit__(self, Names names):
        self.names = names

    def __dealloc__(self):
        free(self.interfaces)

    @property
    def problem(self):
        """Why reading stopped; None while it goes on."""
        if not self.failure:
            return None
        return SENTENCES[self.failure].format(self.figures[0], self.figures[1])

    @property
    def begun(self):
        """Whether enough was read to know the format."""
        return self.kind != UNKNOWN

    cdef int next(self, octets *block, record *out) noexcept nogil:
        """The next packet; moves `block` on. What it gives points into the block."""
        cdef uint64_t passed
        if self.skipping:
            passed = min(self.skipping, <uint64_t>block.length)
            self.skipping -= passed
            self.consume(block, passed)
            if self.skipping:
                return self.more(1)
        if self.kind == PCAP:
            return self.next_record(block, out)
        if self.kind == PCAPNG:
            return self.next_block(block, out)
        return self.begin(block) if self.failure == 0 else STOPPED

    cdef int stop(self, int failure, uint64_t first=0, uint64_t second=0) noexcept nogil:
        self.failure = failure
        self.figures[0] = first
        self.figures[1] = second
        self.kind = UNKNOWN
        return STOPPED

    cdef int more(self, uint32_t need) noexcept nogil:
        self.need = need
        return MORE

    cdef void consume(self, octets *block, uint64_t size) noexcept nogil:
        self.offset += size
        skip(block, <uint32_t>size)

    cdef int begin(self, octets *block) noexcept nogil:
        cdef uint32_t mark
        cdef uint16_t major, minor
        if block.length < 4:
            return self.more(4)
        mark = le32(block, 0)
        if mark == SECTION:
            self.kind = PCAPNG
            return AGAIN     # nothing read yet: ask again
        self.swapped = be32(block, 0) >> 16 == 0xA1B2
        if self.swapped:
            mark = be32(block, 0)
        # microseconds, nanoseconds, and Kuznetsov's longer records
        if mark != 0xA1B2C3D4U and mark != 0xA1B23C4DU and mark != 0xA1B2CD34U:
            return self.stop(NO_CAPTURE)
        if block.length < 24:
            return self.more(24)
        major = get16(self.swapped, block, 4)
        minor = get16(self.swapped, block, 6)
        if major != 2:
            return self.stop(VERSION, major, minor)
        self.nanoseconds = mark == 0xA1B23C4DU
        self.header = 24 if mark == 0xA1B2CD34U else 16
        self.old_lengths = minor < 4
        # the upper bits tell of a frame check sequence
        self.link = <uint16_t>(get32(self.swapped, block, 20) & 0xFFFF)
        self.kind = PCAP
        self.consume(block, 24)
        return AGAIN

    cdef int next_record(self, octets *block, record *out) noexcept nogil:
        cdef uint32_t captured, real, seconds, fraction
        if block.length < self.header:
            return self.more(self.header)
        seconds = get32(self.swapped, block, 0)
        fraction = get32(self.swapped, block, 4)
        captured = get32(self.swapped, block, 8)
        real = get32(self.swapped, block, 12)
        if self.old_lengths and captured > real:
            captured, real = real, captured
        if captured > MOST_CAPTURED:
            return self.stop(TOO_LONG, captured, MOST_CAPTURED)
        if block.length - self.header < captured:
            return self.more(self.header + captured)
        out.time_ns = <uint64_t>seconds * 1000000000 + <uint64_t>fraction * (1 if self.nanoseconds else 1000)
        out.link = self.link
        out.interface = get32(self.swapped, block, 16) if self.header == 24 else 0
        out.comment_length = out.note_length = 0
        out.packet.at = block.at + self.header
        out.packet.length = captured
        out.packet.reported = max(real, captured)
        self.consume(block, self.header + captured)
        return PACKET

    cdef int next_block(self, octets *block, record *out) noexcept nogil:
        cdef uint32_t kind, total, window, end
        cdef octets body
        cdef int found
        if block.length < 12:
            return self.more(12)
        kind = get32(self.swapped, block, 0)
        if kind == SECTION:     # the same in both byte orders
            if le32(block, 8) == 0x1A2B3C4D:
                self.swapped = False
            elif be32(block, 8) == 0x1A2B3C4D:
                self.swapped = True
            else:
                return self.stop(BYTE_ORDER, le32(block, 8))
        total = get32(self.swapped, block, 4)
        if total < (28 if kind == SECTION else 12):
            return self.stop(BLOCK_SHORT, total, 28 if kind == SECTION else 12)
        if total > MOST_BLOCK:
            return self.stop(BLOCK_LONG, total, MOST_BLOCK)
        end = total
        total = (total + 3) & <uint32_t>~3
        window = min(total, <uint32_t>WINDOW)
        if block.length < window:
            return self.more(window)
        if window == total and get32(self.swapped, block, total - 4) != end:
            return self.stop(BLOCK_ENDS, end, get32(self.swapped, block, total - 4))
        body.at = block.at + 8
        body.reported = total - 12
        body.length = min(window - 8, body.reported)
        found = AGAIN
        if kind == SECTION:
            found = self.begin_section(&body, total)
        elif kind == INTERFACE:
            found = self.describe_interface(&body)
        elif kind == ENHANCED_PACKET or kind == OBSOLETE_PACKET or kind == SIMPLE_PACKET:
            found = self.read_packet(&body, kind, out)
        elif is_frame(kind):
            found = FRAME
        if found != STOPPED:
            self.consume(block, window)
            self.skipping = total - window
        return found

    cdef int begin_section(self, const octets *body, uint32_t total) noexcept nogil:
        cdef uint16_t major = get16(self.swapped, body, 4), minor = get16(self.swapped, body, 6)
        # 1.2 was written for 1.0 by mistake
        if major != 1 or (minor != 0 and minor != 2):
            return self.stop(VERSION, major, minor)
        self.known = 0
        return AGAIN

    cdef int describe_interface(self, octets *body) noexcept nogil:
        cdef interface *grown
        cdef interface *new
        if self.known >= MOST_INTERFACES:
            return self.stop(TOO_MANY_INTERFACES, MOST_INTERFACES)
        if self.known == self.room:
            grown = <interface *>realloc(self.interfaces, (self.room + 8) * 2 * sizeof(interface))
            if grown == NULL:
                return self.stop(NO_MEMORY)
            self.interfaces = grown
            self.room = (self.room + 8) * 2
        if body.length < 8:
            return self.stop(BLOCK_SHORT, body.length + 12, 20)
        new = &self.interfaces[self.known]
        memset(new, 0, sizeof(interface))
        new.link = get16(self.swapped, body, 0)
        new.snap = get32(self.swapped, body, 4)
        new.multiply = 1000
        new.divide = 1
        skip(body, 8)
        if self.read_options(body, new, NULL) == STOPPED:
            return STOPPED
        self.known += 1
        return AGAIN

    cdef int read_packet(self, octets *body, uint32_t kind, record *out) noexcept nogil:
        cdef uint32_t fixed = 4 if kind == SIMPLE_PACKET else 20
        cdef uint32_t number = 0, captured, real
        cdef const interface *of
        if body.length < fixed:
            return self.stop(BLOCK_SHORT, body.length + 12, fixed + 12)
        if kind == ENHANCED_PACKET:
            number = get32(self.swapped, body, 0)
        elif kind == OBSOLETE_PACKET:
            number = get16(self.swapped, body, 0)
        if number >= self.known:
            return self.stop(NO_INTERFACE, number, self.known)
        of = &self.interfaces[number]
        if kind == SIMPLE_PACKET:
            real = get32(self.swapped, body, 0)
            captured = real
            if of.snap and of.snap < captured:
                captured = of.snap
            captured = min(captured, body.length - fixed)
            out.time_ns = self.last_ns      # it has none
        else:
            captured = get32(self.swapped, body, 12)
            real = get32(self.swapped, body, 16)
            out.time_ns = scale(<uint64_t>get32(self.swapped, body, 4) << 32 | get32(self.swapped, body, 8), of.multiply, of.shift, of.divide) + <uint64_t>of.offset_ns
            self.last_ns = out.time_ns
        if captured > MOST_CAPTURED:
            return self.stop(TOO_LONG, captured, MOST_CAPTURED)
        if captured > body.length - fixed:
            return self.stop(BLOCK_PACKET, captured, body.length + 12)
        out.link = of.link
        out.interface = number
        out.comment_length = out.note_length = 0
        skip(body, fixed)
        out.packet.at = body.at
        out.packet.length = captured
        out.packet.reported = max(real, captured)
        if kind == SIMPLE_PACKET:
            return PACKET
        skip(body, (captured + 3) & <uint32_t>~3)
        return PACKET if self.read_options(body, NULL, out) != STOPPED else STOPPED

    cdef int read_options(self, octets *options, interface *of, record *out) noexcept nogil:
        """What is of use of an interface's options, or of a packet's."""
        cdef uint16_t code, length
        cdef uint8_t resolution
        while options.length >= 4:
            code = get16(self.swapped, options, 0)
            length = get16(self.swapped, options, 2)
            skip(options, 4)
            if code == 0:
                break
            if length > options.reported:
                return self.stop(OPTION_LONG, length)
            if length > options.length:     # beyond what is kept of a block
                break
            if out != NULL:
                if code == OPTION_COMMENT and out.comment_length == 0:
                    out.comment = options.at
                    out.comment_length = min(length, <uint16_t>MOST_COMMENT)
                elif code == OPTION_NOTE and NOTE_MARK <= length <= MOST_NOTE and memcmp(options.at, <const char *>b"whyreset/1 ", NOTE_MARK) == 0:
                    out.note = options.at
                    out.note_length = length
            elif code == OPTION_NAME:
                with gil:
                    of.name = self.names.number(options.at[:min(length, <uint16_t>64)].decode(errors="replace").rstrip("\0"))
            elif code == OPTION_OFFSET and length == 8:
                of.offset_ns = <int64_t>((<uint64_t>get32(self.swapped, options, 4) << 32 | get32(self.swapped, options, 0)) * 1000000000 if not self.swapped
                                         else (<uint64_t>get32(self.swapped, options, 0) << 32 | get32(self.swapped, options, 4)) * 1000000000)
            elif code == OPTION_RESOLUTION and length == 1:
                resolution = u8(options, 0)
                of.multiply = of.divide = 1
                if resolution & 0x80:       # a power of two
                    of.multiply = 1000000000
                    of.shift = resolution & 0x7F
                else:                       # of ten; beyond 10**-28 every tick is within the first nanosecond
                    while resolution < 9:
                        of.multiply *= 10
                        resolution += 1
                    while resolution > 9:
                        of.divide *= 10
                        if resolution > 28:
                            of.multiply = 0
                            of.divide = 1
                            break
                        resolution -= 1
            skip(options, (length + 3) & 0x1FFFC)
        return PACKET

    cdef uint16_t name_of(self, const record *packet, uint32_t index) noexcept nogil:
        """The interface of a packet, by the number of its name. `index`: by the link layer's own word, else 0."""
        cdef interface *of
        if index == 0 and self.kind == PCAP:
            if self.header == 16:
                return NOT_NAMED
            index = packet.interface
        if index or packet.interface >= self.known:
            with gil:
                return self.names.number(str(index))
        of = &self.interfaces[packet.interface]
        if of.name == NOT_NAMED:
            with gil:
                of.name = self.names.number(str(packet.interface))
        return of.name
