/* Writes a made-up capture (pcap, Ethernet) to standard output, and what is in it to standard error as JSON.
 *
 *     traffic web|mixed|scan CONNECTIONS [SEED]
 *
 * web    full packets, few resets: clients fetch from 300 servers
 * mixed  96 bytes of each packet, many short connections at once, UDP between them, VLANs; each fourth ends in a reset
 * scan   four scanners try every port of 200 hosts
 *
 * The same seed gives the same bytes. Each packet carries right checksums, options as Linux sends them, and time stamps
 * that rise.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { CLIENT, SERVER };
enum kind { NORMAL, NO_REPLY, REFUSED, UNREAD, LINGER, AFTER_CLOSE, HALF_OPEN, PROBED, FORGED, KINDS };
static const char *const names[KINDS] = {"normal",  "no-reply",    "closed-port", "unread-data", "linger-zero",
					 "data-after-close", "half-open", "probed", "forged"};
/* where a connection is in its life */
enum phase { OPENING, ANSWERED, ACCEPTED, ASKED, CONFIRMED, SERVED, CLOSING, CLOSED, LAST, SPECIAL };

struct side {
	uint8_t address[16], ttl;
	uint16_t port, id;
	uint32_t seq;
};

struct connection {
	struct side side[2];
	enum kind kind;
	enum phase phase;
	uint8_t v6, vlan;
	uint32_t left, request, unacked;
};

struct mode {
	const char *name;
	uint32_t snap, at_once, servers;
	double gap_us, resets, udp, size_log;
};
static const struct mode modes[] = {
	{"web", 262144, 2000, 300, 120, 0.01, 0.08, 2.75},
	{"mixed", 96, 50000, 4000, 30, 0.25, 0.30, 1.2},
	{"scan", 262144, 500, 200, 50, 1, 0, 0},
};

#define NOISE (1 << 20)
static const struct mode *mode;
static uint8_t noise[NOISE], packet[65536 + 128];
static uint64_t sums[NOISE / 2 + 1]; /* of the words of noise before each place: a checksum without reading it again */
static uint64_t random_state, now_us = 1750000000ull * 1000000;
static uint64_t packets, resets, bytes, connections_of[KINDS], resets_of[KINDS], attempts;

static uint64_t random64(void) /* splitmix64 */
{
	uint64_t z = (random_state += 0x9E3779B97F4A7C15ull);
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
	return z ^ (z >> 31);
}

static double uniform(void) { return (double)(random64() >> 11) / 9007199254740992.0; }
static uint32_t below(uint32_t limit) { return (uint32_t)(((random64() >> 32) * limit) >> 32); }

static void put16(uint8_t *at, uint32_t value) { at[0] = value >> 8, at[1] = value; }
static void put32(uint8_t *at, uint32_t value) { put16(at, value >> 16), put16(at + 2, value); }

static uint64_t sum(const uint8_t *at, uint32_t length) /* big-endian words; length is even */
{
	uint64_t total = 0;
	for (uint32_t i = 0; i < length; i += 2) total += (uint32_t)at[i] << 8 | at[i + 1];
	return total;
}

static uint16_t fold(uint64_t total)
{
	while (total >> 16) total = (total & 0xffff) + (total >> 16);
	return ~total;
}

static void put(const void *data, size_t length)
{
	if (fwrite(data, 1, length, stdout) != length) exit(1); /* the reader has seen enough */
	bytes += length;
}

static void emit(uint32_t length)
{
	uint32_t kept = length < mode->snap ? length : mode->snap;
	uint32_t head[4] = {(uint32_t)(now_us / 1000000), (uint32_t)(now_us % 1000000), kept, length};
	put(head, sizeof head);
	put(packet, kept);
	packets++;
	now_us += 1 + (uint64_t)(-log(1 - uniform()) * mode->gap_us);
}

/* Ethernet and IP headers; returns where the payload begins, and sets the sum of the pseudo header. */
static uint32_t headers(struct connection *c, int from, uint8_t protocol, uint32_t length, uint8_t ttl, uint64_t *pseudo)
{
	struct side *src = &c->side[from], *dst = &c->side[!from];
	uint32_t at = 12;
	memset(packet, 0, 64);
	packet[0] = packet[6] = 2, packet[5] = 1 + !from, packet[11] = 1 + from;
	if (c->vlan) put16(packet + 12, 0x8100), put16(packet + 14, c->vlan), at = 16;
	put16(packet + at, c->v6 ? 0x86dd : 0x0800);
	uint8_t *ip = packet + at + 2;
	*pseudo = protocol + length;
	if (c->v6) {
		ip[0] = 0x60, ip[6] = protocol, ip[7] = ttl;
		put16(ip + 4, length);
		memcpy(ip + 8, src->address, 16), memcpy(ip + 24, dst->address, 16);
		*pseudo += sum(ip + 8, 32);
		return at + 42;
	}
	ip[0] = 0x45, ip[6] = 0x40, ip[8] = ttl, ip[9] = protocol;
	put16(ip + 2, 20 + length), put16(ip + 4, src->id++);
	memcpy(ip + 12, src->address, 4), memcpy(ip + 16, dst->address, 4);
	put16(ip + 10, fold(sum(ip, 20)));
	*pseudo += sum(ip + 12, 8);
	return at + 22;
}

static uint64_t payload(uint8_t *at, uint32_t length) /* returns its sum */
{
	uint32_t from = below((NOISE - 65536) / 2) * 2, end = from + (length & ~1u);
	memcpy(at, noise + from, length);
	return sums[end / 2] - sums[from / 2] + (length & 1 ? (uint64_t)noise[end] << 8 : 0);
}

static uint32_t options(uint8_t *at, int flags)
{
	static const uint8_t of_syn[20] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 3, 7};
	static const uint8_t of_any[12] = {1, 1, 8, 10};
	if (flags & RST) return 0;
	uint32_t length = flags & SYN ? 20 : 12;
	memcpy(at, flags & SYN ? of_syn : of_any, length);
	put32(at + (flags & SYN ? 8 : 4), (uint32_t)(now_us / 1000));
	return length;
}

static void tcp(struct connection *c, int from, int flags, uint32_t seq, uint32_t ack, uint32_t length, uint8_t ttl)
{
	uint8_t opts[20];
	uint32_t optional = options(opts, flags), size = 20 + optional + length;
	uint64_t total;
	uint32_t at = headers(c, from, 6, size, ttl, &total);
	uint8_t *t = packet + at;
	memset(t, 0, 20);
	put16(t, c->side[from].port), put16(t + 2, c->side[!from].port);
	put32(t + 4, seq), put32(t + 8, flags & ACK ? ack : 0);
	t[12] = (20 + optional) / 4 << 4, t[13] = flags;
	put16(t + 14, flags & RST ? 0 : 502);
	memcpy(t + 20, opts, optional);
	total += sum(t, 20 + optional) + payload(t + 20 + optional, length);
	put16(t + 16, fold(total));
	if (flags & RST) resets++, resets_of[c->kind]++;
	emit(at + size);
}

static void udp(struct connection *c)
{
	uint32_t length = 40 + below(400) * 2;
	uint64_t total;
	uint32_t at = headers(c, below(2), 17, 8 + length, 64, &total);
	uint8_t *t = packet + at;
	put16(t, 40000), put16(t + 2, 9999), put16(t + 4, 8 + length), put16(t + 6, 0);
	total += sum(t, 8) + payload(t + 8, length);
	put16(t + 6, fold(total));
	emit(at + 8 + length);
}

/* The next segment of one side. */
static void say(struct connection *c, int from, int flags, uint32_t length)
{
	struct side *src = &c->side[from];
	tcp(c, from, flags, src->seq, c->side[!from].seq, length, src->ttl);
	src->seq += length + (flags & (SYN | FIN) ? 1 : 0);
}

/* RFC 9293 section 3.5.2: the answer to a segment with ACK, that to one without, and a reset of its own accord. */
static void answer(struct connection *c, int from) { tcp(c, from, RST, c->side[from].seq, 0, 0, c->side[from].ttl); }
static void refuse(struct connection *c, int from)
{
	tcp(c, from, RST | ACK, 0, c->side[!from].seq, 0, c->side[from].ttl);
}
static void abort_(struct connection *c, int from)
{
	tcp(c, from, RST | ACK, c->side[from].seq, c->side[!from].seq, 0, c->side[from].ttl);
}

static void address(struct connection *c, int which, uint32_t v4)
{
	uint8_t *at = c->side[which].address;
	if (c->v6) put32(at, 0x20010db8), put32(at + 12, v4), at[7] = which;
	else put32(at, v4);
}

static void make(struct connection *c)
{
	static const uint16_t ports[8] = {443, 443, 443, 80, 8080, 22, 3306, 5432};
	int scan = mode->servers == 200;
	memset(c, 0, sizeof *c);
	c->kind = scan ? (uniform() < 0.0005 ? PROBED : REFUSED) : NORMAL;
	if (!scan && uniform() < mode->resets) c->kind = uniform() < 0.5 ? REFUSED : REFUSED + below(KINDS - REFUSED);
	else if (!scan && uniform() < 0.01) c->kind = NO_REPLY;
	c->v6 = !scan && uniform() < 0.15;
	c->vlan = mode->snap == 96 && uniform() < 0.1 ? 7 : 0;
	if (scan) {
		uint64_t number = attempts++;
		address(c, CLIENT, 0xC6336400 | (1 + below(4)));
		address(c, SERVER, 0x0A000000 | (uint32_t)(1 + number / 65535 % 200));
		c->side[SERVER].port = 1 + (uint16_t)(number * 48271 % 65535);
	} else {
		address(c, CLIENT, 0x0A000000 | below(1 << 18));
		address(c, SERVER, 0xC0A80000 | below(mode->servers));
		c->side[SERVER].port = ports[below(8)];
	}
	c->side[CLIENT].port = 32768 + below(28000);
	for (int i = 0; i < 2; i++) {
		c->side[i].seq = random64(), c->side[i].id = random64();
		c->side[i].ttl = 64 - below(20);
	}
	double gauss = sqrt(-2 * log(1 - uniform())) * cos(6.283185307 * uniform());
	double size = exp(mode->size_log + 1.15 * gauss);
	c->left = size > 3000 ? 3000 : (uint32_t)size + 1;
	c->request = 200 + below(1100);
	if (c->kind == HALF_OPEN) c->phase = ACCEPTED;
	connections_of[c->kind]++;
}

/* One segment of a served connection: data, or the client's acknowledgement of it; 0 when all has been served. */
static int serve(struct connection *c)
{
	if (c->unacked >= 2 || (c->unacked && !c->left)) return say(c, CLIENT, ACK, 0), c->unacked = 0, 1;
	if (!c->left) return 0;
	uint32_t length = c->left == 1 ? 100 + below(1300) : 1448;
	say(c, SERVER, c->left == 1 ? ACK | PSH : ACK, length);
	c->left--, c->unacked++;
	return 1;
}

/* One segment; returns whether that was the connection's last. */
static int step(struct connection *c)
{
	enum kind kind = c->kind;
	switch (c->phase) {
	case OPENING:
		say(c, CLIENT, SYN, 0), c->phase = ANSWERED;
		return 0;
	case ANSWERED:
		if (kind == REFUSED) return refuse(c, SERVER), 1;
		if (kind == NO_REPLY) {
			c->side[CLIENT].seq--, say(c, CLIENT, SYN, 0);
			return c->unacked++ == 1;
		}
		say(c, SERVER, SYN | ACK, 0), c->phase = kind == PROBED ? SPECIAL : ACCEPTED;
		return 0;
	case ACCEPTED:
		if (kind == HALF_OPEN) say(c, CLIENT, PSH | ACK, c->request), c->phase = SPECIAL;
		else say(c, CLIENT, ACK, 0), c->phase = ASKED;
		return 0;
	case ASKED:
		say(c, CLIENT, PSH | ACK, c->request), c->phase = kind == UNREAD ? SPECIAL : CONFIRMED;
		return 0;
	case CONFIRMED:
		say(c, SERVER, ACK, 0), c->phase = SERVED;
		return 0;
	case SERVED:
		if (kind == LINGER && c->left <= 1) return abort_(c, CLIENT), 1;
		if (kind == FORGED && c->left <= 1) {
			tcp(c, SERVER, RST, c->side[SERVER].seq, 0, 0, c->side[SERVER].ttl + 37), c->phase = SPECIAL;
			return 0;
		}
		if (serve(c)) return 0;
		c->phase = CLOSING;
		/* fall through */
	case CLOSING:
		say(c, CLIENT, FIN | ACK, 0);
		c->phase = CLOSED;
		return 0;
	case CLOSED:
		if (kind == AFTER_CLOSE) say(c, SERVER, PSH | ACK, 1000), c->phase = SPECIAL;
		else say(c, SERVER, FIN | ACK, 0), c->phase = LAST;
		return 0;
	case LAST:
		return say(c, CLIENT, ACK, 0), 1;
	case SPECIAL:
		if (kind == UNREAD) return abort_(c, SERVER), 1;
		if (kind == HALF_OPEN) return answer(c, SERVER), 1;
		if (kind == FORGED) return tcp(c, CLIENT, RST, c->side[CLIENT].seq, 0, 0, c->side[CLIENT].ttl + 37), 1;
		return answer(c, CLIENT), 1;
	}
	return 1;
}

static void tell(uint64_t made)
{
	fprintf(stderr, "{\"packets\": %llu, \"bytes\": %llu, \"connections\": %llu, \"resets\": %llu, \"kinds\": {",
		(unsigned long long)packets, (unsigned long long)bytes, (unsigned long long)made, (unsigned long long)resets);
	for (int i = 0; i < KINDS; i++)
		fprintf(stderr, "%s\"%s\": [%llu, %llu]", i ? ", " : "", names[i], (unsigned long long)connections_of[i],
			(unsigned long long)resets_of[i]);
	fprintf(stderr, "}}\n");
}

int main(int count, char **words)
{
	for (size_t i = 0; count > 2 && i < sizeof modes / sizeof *modes; i++)
		if (!strcmp(words[1], modes[i].name)) mode = &modes[i];
	if (!mode) return fprintf(stderr, "usage: traffic web|mixed|scan CONNECTIONS [SEED]\n"), 2;
	uint64_t wanted = strtoull(words[2], NULL, 10), made = 0, live = 0;
	random_state = count > 3 ? strtoull(words[3], NULL, 10) : 1;
	for (size_t i = 0; i < NOISE; i++) noise[i] = random64();
	for (size_t i = 0; i < NOISE / 2; i++) sums[i + 1] = sums[i] + ((uint32_t)noise[2 * i] << 8 | noise[2 * i + 1]);
	setvbuf(stdout, NULL, _IOFBF, 1 << 20);
	uint32_t head[6] = {0xa1b2c3d4, 0x00040002, 0, 0, mode->snap, 1};
	put(head, sizeof head);
	struct connection *pool = calloc(mode->at_once, sizeof *pool);
	if (!pool) return 1;
	for (; live < mode->at_once && made < wanted; made++) make(&pool[live++]);
	while (live) {
		uint64_t which = below(live);
		if (uniform() < mode->udp) udp(&pool[which]);
		for (uint32_t burst = mode->servers == 200 ? 1 : 1 + below(6); burst; burst--) {
			if (!step(&pool[which])) continue;
			if (made < wanted) make(&pool[which]), made++;
			else pool[which] = pool[--live];
			break;
		}
	}
	if (fflush(stdout)) return 1;
	tell(made);
	free(pool);
	return 0;
}
