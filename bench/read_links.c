/* The floor of holders.py: reads the same links of /proc that a search for holders has to read, of each thread its namespace,
 * directories, program, open files, and the text of its mapped files, in WORKERS processes at once; and nothing else: no mount
 * tables, no names, no units. Prints the processes with a link that leads to below FOLDER. */

#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *folder;
static size_t length;

static int leads_there(int at, const char *name)
{
	char path[4096];
	ssize_t got = readlinkat(at, name, path, sizeof path);
	return got >= (ssize_t)length && !memcmp(path, folder, length);
}

static int opens(int thread)
{
	int found = 0, at = openat(thread, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *files = at < 0 ? NULL : fdopendir(at);
	if (files == NULL)
		return 0;
	for (struct dirent *file; !found && (file = readdir(files)) != NULL;)
		if (isdigit(file->d_name[0]))
			found = leads_there(dirfd(files), file->d_name);
	closedir(files);
	return found;
}

static int maps(int thread)
{
	static char text[1 << 20];
	size_t got = 0;
	int at = openat(thread, "maps", O_RDONLY | O_CLOEXEC);
	for (ssize_t more; at >= 0 && (more = read(at, text + got, sizeof text - 1 - got)) > 0;)
		got += more;
	text[got] = 0;
	if (at >= 0)
		close(at);
	return strstr(text, folder) != NULL;
}

static int uses(const char *process)
{
	char path[64];
	int found = 0;
	snprintf(path, sizeof path, "/proc/%s/task", process);
	DIR *threads = opendir(path);
	if (threads == NULL)
		return 0;
	for (struct dirent *thread; !found && (thread = readdir(threads)) != NULL;) {
		if (!isdigit(thread->d_name[0]))
			continue;
		int at = openat(dirfd(threads), thread->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (at < 0)
			continue;
		leads_there(at, "ns/mnt");
		found = leads_there(at, "cwd") || leads_there(at, "root") || leads_there(at, "exe") || opens(at) || maps(at);
		close(at);
	}
	closedir(threads);
	return found;
}

static void work(long worker, long workers)
{
	DIR *processes = opendir("/proc");
	long number = 0;
	if (processes == NULL)
		_exit(1);
	for (struct dirent *process; (process = readdir(processes)) != NULL;)
		if (isdigit(process->d_name[0]) && number++ % workers == worker && uses(process->d_name))
			dprintf(1, "%s\n", process->d_name);
	_exit(0);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: read_links WORKERS FOLDER\n");
		return 2;
	}
	long workers = atol(argv[1]);
	folder = argv[2];
	length = strlen(folder);
	for (long worker = 0; worker < workers; worker++)
		if (fork() == 0)
			work(worker, workers);
	int status, failed = 0;
	while (wait(&status) > 0)
		failed |= status;
	return failed != 0;
}
