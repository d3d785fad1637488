// Accepts one connection by io_uring, and closes it unread when told to; without liburing.
//   uring PORT fd       the connection has a descriptor, closed by IORING_OP_CLOSE
//   uring PORT direct   it is only in the ring's own table of files, closed with the ring by the kernel when this exits
// Says "listening" and "accepted"; goes on at each line of input. Exit status 77: the kernel has no io_uring for us.
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	int fd;
	unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
} ring;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void *map(size_t size, off_t offset)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, offset);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

static void set_up(void)
{
	struct io_uring_params p = {};
	char *sq, *cq;

	ring.fd = syscall(SYS_io_uring_setup, 8, &p);
	if (ring.fd < 0) {
		fprintf(stderr, "io_uring_setup: %s\n", strerror(errno));
		exit(77);
	}
	sq = map(p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
	cq = map(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring.sqes = map(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring.sq_tail = (unsigned *)(sq + p.sq_off.tail);
	ring.sq_mask = (unsigned *)(sq + p.sq_off.ring_mask);
	ring.sq_array = (unsigned *)(sq + p.sq_off.array);
	ring.cq_head = (unsigned *)(cq + p.cq_off.head);
	ring.cq_tail = (unsigned *)(cq + p.cq_off.tail);
	ring.cq_mask = (unsigned *)(cq + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
}

/* one request to its end; its result */
static int ask(struct io_uring_sqe request)
{
	unsigned tail = *ring.sq_tail, head;
	int result;

	ring.sqes[tail & *ring.sq_mask] = request;
	ring.sq_array[tail & *ring.sq_mask] = tail & *ring.sq_mask;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		fail("io_uring_enter");
	head = *ring.cq_head;
	if (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE))
		fail("no completion");
	result = ring.cqes[head & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	if (result < 0) {
		errno = -result;
		fail("the request failed");
	}
	return result;
}

static void say(const char *what)
{
	puts(what);
	fflush(stdout);
}

int main(int count, char **words)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), direct, connection, empty = -1;
	struct sockaddr_in address = { .sin_family = AF_INET };
	char line[16];

	if (count != 3)
		return 2;
	address.sin_port = htons(atoi(words[1]));
	direct = !strcmp(words[2], "direct");
	set_up();
	if (bind(listener, (void *)&address, sizeof address) || listen(listener, 16))
		fail("listen");
	if (direct && syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &empty, 1))
		fail("io_uring_register");
	say("listening");
	connection = ask((struct io_uring_sqe){ .opcode = IORING_OP_ACCEPT, .fd = listener, .file_index = direct });
	say("accepted");
	if (!fgets(line, sizeof line, stdin) || direct)
		return 0;
	ask((struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = connection });
	say("closed");
	fgets(line, sizeof line, stdin);
	return 0;
}
