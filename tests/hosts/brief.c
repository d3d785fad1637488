// Many short lives, one after the other: each process tries a port of 127.0.0.1 and ends.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int try(int port)
{
	struct sockaddr_in there = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int attempt = socket(AF_INET, SOCK_STREAM, 0);

	return connect(attempt, (struct sockaddr *)&there, sizeof there) < 0 && errno == ECONNREFUSED ? 0 : 1;
}

int main(int count, char **words)
{
	int wanted = count > 2 ? atoi(words[1]) : 0, port = count > 2 ? atoi(words[2]) : 0, status = 0;

	for (int made = 0; made < wanted; made++) {
		pid_t pid = fork();
		if (pid < 0)
			return 1;
		if (!pid)
			_exit(try(port));
		if (waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return 0;
}
