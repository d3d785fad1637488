// Many sleeping processes, made cheaply: forks so many, says so, and ends them when its input ends. A second number is
// how many files each holds open beside.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **words)
{
	int wanted = count > 1 ? atoi(words[1]) : 0, made = 0;
	pid_t *pids = calloc(wanted + 1, sizeof *pids), self = getpid();
	int files = count > 2 ? atoi(words[2]) : 0;
	char end;

	while (files-- > 0 && open("/dev/null", O_RDONLY) >= 0)
		;
	for (; made < wanted; made++) {
		pids[made] = fork();
		if (pids[made] < 0)
			break;
		if (!pids[made]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(0);
			close(1);
			while (getppid() == self)
				pause();
			_exit(0);
		}
	}
	printf("%d\n", made);
	fflush(stdout);
	while (read(0, &end, 1) > 0)
		;
	for (int i = 0; i < made; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return made < wanted;
}
