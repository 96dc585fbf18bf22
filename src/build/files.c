/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mem.h"
#include "run.h"

int files_copy(const char *from, const char *to)
{
	AUTO_CLOSE int in = open(from, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
						0644);
	char chunk[65536];
	ssize_t got;

	if (out < 0)
		return -1;
	while ((got = read(in, chunk, sizeof(chunk))) > 0)
		if (write(out, chunk, (size_t)got) != got)
			return -1;
	return got < 0 ? -1 : 0;
}

uint64_t files_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

const char *files_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool files_has_ending(const char *path, const char *const *endings)
{
	const char *dot = strrchr(files_last_part(path), '.');

	for (; dot && *endings; endings++)
		if (!strcmp(dot + 1, *endings))
			return true;
	return false;
}

bool files_exist(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

struct err *files_make_dir(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return err_sys(errno, "%s", path);
	return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

struct err *files_remove_tree(const char *path)
{
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return err_sys(errno, "removing %s", path);
	return NULL;
}

struct err *files_copy_tree(const char *from, const char *to)
{
	AUTO_FREE char *inside = mem_fmt("%s/.", from);
	const char *argv[] = { "cp", "-a", "--reflink=auto", inside, to, NULL };
	struct err *err = files_make_dir(to);

	return err ? err : err_wrap(run_program(argv, NULL, NULL, NULL), "copying %s", from);
}

struct err *files_write(const char *path, const char *text)
{
	AUTO_FREE char *tmp = mem_fmt("%s.new", path);
	FILE *f = fopen(tmp, "we");
	bool ok = f && fputs(text, f) >= 0;

	if (f && fclose(f))
		ok = false;
	if (!ok || rename(tmp, path))
		return err_sys(errno, "%s", path);
	return NULL;
}

char *files_read(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text;

	if (fd < 0 || fstat(fd, &st))
		return NULL;
	text = mem_alloc((size_t)st.st_size + 1);
	if (read(fd, text, (size_t)st.st_size) == st.st_size)
		return text;
	free(text);
	return NULL;
}

static crypto_hash_sha256_state fingerprint;

static int add_to_fingerprint(const char *path, const struct stat *st, int type,
			      struct FTW *ftw)
{
	AUTO_FREE char *row = NULL;

	(void)ftw;
	/* What building in place leaves behind in a folder's own time is no change. */
	if (type == FTW_D)
		return 0;
	row = mem_fmt("%s %lld %lld.%ld %o\n", path, (long long)st->st_size,
		      (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, st->st_mode);
	crypto_hash_sha256_update(&fingerprint, (unsigned char *)row, strlen(row));
	return 0;
}

struct err *files_fingerprint(const char *path, char hex[65])
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256_init(&fingerprint);
	if (nftw(path, add_to_fingerprint, 64, FTW_PHYS))
		return err_sys(errno, "%s", path);
	crypto_hash_sha256_final(&fingerprint, hash);
	sodium_bin2hex(hex, 65, hash, sizeof(hash));
	return NULL;
}
