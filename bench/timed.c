/* Runs a program and writes its wall seconds, CPU seconds, peak KiB and exit status to FILE. Linux counts what the parent
 * occupies at the start as the child's peak, so the parent has to be as small as this one. */

#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double seconds(struct timeval part)
{
	return part.tv_sec + part.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	struct rusage used;
	int status;
	pid_t pid;
	if (argc < 3) {
		fprintf(stderr, "usage: timed FILE PROGRAM [WORD...]\n");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	int error = posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (error != 0) {
		fprintf(stderr, "timed: cannot start %s: %s\n", argv[2], strerror(error));
		return 2;
	}
	if (wait4(pid, &status, 0, &used) < 0) {
		perror("timed: wait4");
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	double wall = to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9;
	double cpu = seconds(used.ru_utime) + seconds(used.ru_stime);
	FILE *out = fopen(argv[1], "w");
	if (out == NULL) {
		perror(argv[1]);
		return 2;
	}
	int ended = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	fprintf(out, "%.9f %.6f %ld %d\n", wall, cpu, used.ru_maxrss, ended);
	return fclose(out) != 0;
}
