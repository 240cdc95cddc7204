// SPDX-License-Identifier: Apache-2.0
#include "tools/entrytext.h"

#include <time.h>

static char type_letter(mode_t mode)
{
	return S_ISDIR(mode)	? 'd'
	       : S_ISLNK(mode)	? 'l'
	       : S_ISCHR(mode)	? 'c'
	       : S_ISBLK(mode)	? 'b'
	       : S_ISFIFO(mode) ? 'p'
	       : S_ISSOCK(mode) ? 's'
				: '-';
}

const char *entry_type(mode_t mode)
{
	return S_ISDIR(mode)	? "dir"
	       : S_ISLNK(mode)	? "symlink"
	       : S_ISCHR(mode)	? "char"
	       : S_ISBLK(mode)	? "block"
	       : S_ISFIFO(mode) ? "fifo"
	       : S_ISSOCK(mode) ? "socket"
				: "file";
}

const char *entry_mode(mode_t mode, char *text)
{
	static const char letters[] = "rwxrwxrwx";

	text[0] = type_letter(mode);
	for (int i = 0; i < 9; i++)
		text[1 + i] = mode & (0400 >> i) ? letters[i] : '-';
	if (mode & S_ISUID)
		text[3] = mode & 0100 ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = mode & 0010 ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = mode & 0001 ? 't' : 'T';
	text[10] = '\0';
	return text;
}

void entry_time(int64_t ns, int64_t *ret_seconds, long *ret_ns)
{
	*ret_seconds = ns / 1000000000 - (ns % 1000000000 < 0);
	*ret_ns = (long)(ns - *ret_seconds * 1000000000);
}

const char *entry_date(int64_t mtime_ns, char *text)
{
	int64_t seconds;
	struct tm tm;
	time_t t;
	long ns;

	entry_time(mtime_ns, &seconds, &ns);
	t = (time_t)seconds;
	if (!localtime_r(&t, &tm) || !strftime(text, ENTRY_DATE_BYTES, "%Y-%m-%d %H:%M", &tm))
		*text = '\0';
	return text;
}
