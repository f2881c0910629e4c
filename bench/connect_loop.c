/* The floor of probe.py: COUNT non-blocking connects to PORT, each at an address of its own from 127.1.0.0 on, at most WINDOW
 * at once, each decided by what the kernel says of it, and nothing else: no names, no limits. Prints how many are open. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: connect_loop COUNT PORT WINDOW\n");
		return 2;
	}
	long count = atol(argv[1]), window = atol(argv[3]), begun = 0, over = 0, open = 0;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[128];
	while (over < count) {
		while (begun < count && begun - over < window) {
			int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
			if (fd < 0) {
				fprintf(stderr, "connect_loop: %s\n", strerror(errno));
				return 1;
			}
			to.sin_addr.s_addr = htonl(0x7f010000 + begun++);
			int connected = connect(fd, (struct sockaddr *)&to, sizeof to);
			if (connected == 0 || errno != EINPROGRESS) {
				open += connected == 0;
				over++;
				close(fd);
				continue;
			}
			struct epoll_event wanted = { .events = EPOLLOUT, .data.fd = fd };
			epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted);
		}
		if (begun == over)
			continue;
		int ready = epoll_wait(poll, events, 128, -1);
		for (int at = 0; at < ready; at++) {
			int error = 0;
			socklen_t length = sizeof error;
			getsockopt(events[at].data.fd, SOL_SOCKET, SO_ERROR, &error, &length);
			open += error == 0;
			over++;
			close(events[at].data.fd);
		}
	}
	printf("%ld\n", open);
	return 0;
}
