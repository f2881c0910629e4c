/* The machine of holders.py: PROCESSES processes with FILES files of FOLDER open each, and the first HOLDERS
 * of them with a file of ASSET, too. Prints "ready" when they have; they are there until stdin ends. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_in(const char *folder, long number)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%ld", folder, number);
	if (open(path, O_RDONLY | O_CREAT, 0600) < 0) {
		perror(path);
		_exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: open_files PROCESSES FILES FOLDER HOLDERS ASSET\n");
		return 2;
	}
	long processes = atol(argv[1]), files = atol(argv[2]), holders = atol(argv[4]);
	int told[2];
	char byte;
	setpgid(0, 0);
	if (pipe(told) != 0)
		return 1;
	for (long process = 0; process < processes; process++) {
		pid_t pid = fork();
		if (pid < 0) {
			perror("open_files: fork");
			return 1;
		}
		if (pid > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (long file = 0; file < files; file++)
			open_in(argv[3], (process * files + file) % 1000);
		if (process < holders)
			open_in(argv[5], process);
		if (write(told[1], "", 1) != 1)
			_exit(1);
		close(told[0]);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	for (long process = 0; process < processes; process++)
		if (read(told[0], &byte, 1) != 1) {
			fprintf(stderr, "open_files: a process failed\n");
			return 1;
		}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}
