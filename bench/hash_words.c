/* The floor of plan.py: reads FILE and puts each of its words into a hash table, once, and nothing else: no grammar, no
 * order, no check. Prints how many words there are, and how many different ones. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct word {
	uint32_t at, length;
};

static const char *text;
static struct word *table;
static size_t slots = 1024, different;

static uint64_t hash_of(const char *from, uint32_t length)
{
	uint64_t hash = 14695981039346656037u;
	for (uint32_t at = 0; at < length; at++)
		hash = (hash ^ (unsigned char)from[at]) * 1099511628211u;
	return hash ^ hash >> 32;
}

static void put(struct word word)
{
	size_t slot = hash_of(text + word.at, word.length) & (slots - 1);
	for (; table[slot].length; slot = (slot + 1) & (slots - 1))
		if (table[slot].length == word.length && !memcmp(text + table[slot].at, text + word.at, word.length))
			return;
	table[slot] = word;
	different++;
}

static void grow(void)
{
	struct word *old = table;
	size_t before = slots;
	slots *= 2;
	different = 0;
	table = calloc(slots, sizeof *table);
	if (table == NULL)
		exit(1);
	for (size_t slot = 0; slot < before; slot++)
		if (old[slot].length)
			put(old[slot]);
	free(old);
}

int main(int argc, char **argv)
{
	struct stat about;
	int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	if (file < 0 || fstat(file, &about) != 0) {
		fprintf(stderr, "usage: hash_words FILE\n");
		return 2;
	}
	text = mmap(NULL, about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	table = calloc(slots, sizeof *table);
	if (text == MAP_FAILED || table == NULL)
		return 1;
	size_t words = 0, end = about.st_size;
	for (size_t at = 0; at < end;) {
		size_t from = at;
		while (at < end && text[at] != ' ' && text[at] != '\n' && text[at] != ':')
			at++;
		if (at > from) {
			words++;
			put((struct word){ from, at - from });
			if (different * 2 > slots)
				grow();
		} else {
			at++;
		}
	}
	printf("%zu %zu\n", words, different);
	return 0;
}
