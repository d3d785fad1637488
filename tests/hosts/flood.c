/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded flood of TCP segments for tests, from inside a test host: flood DESTINATION COUNT [options]
 *
 *   -p FIRST -n PORTS   destination ports, in turn (default 9 and 1)
 *   -s NETWORK          spoof sources of NETWORK/8 in turn, as 198.0.0.0 (default: one source, this host's address -a)
 *   -a ADDRESS          the source when none are spoofed
 *   -f FLAGS            TCP flags as a number (default 2, SYN)
 *   -r RATE             segments a second (default: as fast as it goes)
 *   -c CPU              pin to this CPU
 *
 * Prints: segments sent, seconds, user and system CPU seconds. Never more than 20 million segments or 30 seconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SEGMENT = 40, MOST = 20000000, MOST_SECONDS = 30 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned short checksum(const unsigned char *data, int bytes, unsigned sum)
{
	for (int i = 0; i + 1 < bytes; i += 2)
		sum += data[i] << 8 | data[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

int main(int argc, char **argv)
{
	static unsigned char segments[BATCH][SEGMENT];
	static struct mmsghdr messages[BATCH];
	static struct iovec vectors[BATCH];
	struct sockaddr_in to = { .sin_family = AF_INET };
	unsigned source = 0, network = 0, first = 9, ports = 1, flags = 2, step = 0x12345;
	double rate = 0, began, elapsed = 0;
	long count, sent = 0, made = 0;
	struct rusage used;
	int option, raw;

	if (argc < 3 || !inet_aton(argv[1], &to.sin_addr) || (count = atol(argv[2])) <= 0)
		return 2;
	while ((option = getopt(argc, argv, "p:n:s:a:f:r:c:")) != -1) {
		cpu_set_t cpus;
		struct in_addr address = { 0 };

		switch (option) {
		case 'p': first = atoi(optarg); break;
		case 'n': ports = atoi(optarg); break;
		case 's': inet_aton(optarg, &address); network = ntohl(address.s_addr); break;
		case 'a': inet_aton(optarg, &address); source = ntohl(address.s_addr); break;
		case 'f': flags = atoi(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 'c':
			CPU_ZERO(&cpus);
			CPU_SET(atoi(optarg), &cpus);
			sched_setaffinity(0, sizeof cpus, &cpus);
			break;
		default: return 2;
		}
	}
	if (count > MOST || ports < 1 || !(source || network))
		return 2;
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (raw < 0) {
		perror("socket");
		return 1;
	}
	for (int i = 0; i < BATCH; i++) {
		vectors[i] = (struct iovec){ segments[i], SEGMENT };
		messages[i].msg_hdr = (struct msghdr){ .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
	began = now();
	while (sent < count && elapsed < MOST_SECONDS) {
		long batch = count - sent < BATCH ? count - sent : BATCH;
		int done;

		for (long i = 0; i < batch; i++, made++) {
			struct iphdr *ip = (void *)segments[i];
			struct tcphdr *tcp = (void *)(segments[i] + 20);

			step = step * 1664525u + 1013904223u;
			memset(segments[i], 0, SEGMENT);
			*ip = (struct iphdr){ .version = 4, .ihl = 5, .tot_len = htons(SEGMENT), .ttl = 64, .protocol = IPPROTO_TCP };
			ip->saddr = htonl(network ? network | step >> 8 : source);
			ip->daddr = to.sin_addr.s_addr;
			tcp->source = htons(1024 + (step >> 4) % 60000);
			tcp->dest = htons(first + made % ports);
			tcp->seq = htonl(step);
			tcp->doff = 5;
			((unsigned char *)tcp)[13] = flags;
			tcp->window = htons(1024);
			/* the pseudo header: both addresses, the protocol, the length */
			tcp->check = 0;
			unsigned sum = IPPROTO_TCP + 20;
			for (int k = 12; k < 20; k += 2)
				sum += segments[i][k] << 8 | segments[i][k + 1];
			tcp->check = htons(checksum((void *)tcp, 20, sum));
		}
		done = sendmmsg(raw, messages, batch, 0);
		if (done > 0)
			sent += done;
		elapsed = now() - began;
		while (rate && sent > rate * elapsed && elapsed < MOST_SECONDS)
			elapsed = now() - began;
	}
	getrusage(RUSAGE_SELF, &used);
	printf("%ld %.6f %.6f %.6f\n", sent, elapsed, used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6,
	       used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6);
	return 0;
}
