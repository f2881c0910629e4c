/* The floor of dispatch.py: COUNT processes of a program, at most FANOUT at once, with posix_spawn
 * and wait and nothing else: no output kept, no process group, no limit, no order. */

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: spawn_loop COUNT FANOUT PROGRAM [WORD...]\n");
		return 2;
	}
	long count = atol(argv[1]), fanout = atol(argv[2]), begun = 0, over = 0;
	while (over < count) {
		while (begun < count && begun - over < fanout) {
			pid_t pid;
			int error = posix_spawn(&pid, argv[3], NULL, NULL, argv + 3, environ);
			if (error != 0) {
				fprintf(stderr, "spawn_loop: %s\n", strerror(error));
				return 1;
			}
			begun++;
		}
		int status;
		if (wait(&status) < 0 || status != 0) {
			fprintf(stderr, "spawn_loop: a process failed\n");
			return 1;
		}
		over++;
	}
	return 0;
}
