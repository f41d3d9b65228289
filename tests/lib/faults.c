/* Makes calls fail that change files. To be put in front of the C library of one program (LD_PRELOAD), see faults.py.

   Variables, which this takes out of the environment of the program that it is for, with LD_PRELOAD:
     FAULTS_PROGRAM  ends of words of its command line, separated by blanks; other programs go on undisturbed, and
                     hand the variables on
     FAULTS_BELOW    directories, absolute and without links, separated by ':'; calls for other places do not count
     FAULTS_LOG      a file that gets a line for each call that counts: a mark if it failed, what it was, and the path
     FAULTS_AT       number of the call that fails, from 1; 0: none does
     FAULTS_LASTING  set: all later calls fail as well
     FAULTS_ERRNO    what they fail with
   Forks of the program count with it. A write that fails has written half; a close that fails has closed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_HANDLES 65536
#define FICLONE_REQUEST 0x40049409UL

static char *below, *log_path;
static long at, number_of_error;
static int lasting, armed;
static long *count;                     /* shared with forks */
static unsigned char written[MOST_HANDLES]; /* handles that were opened for writing */

#define REAL(name) (*(__typeof__(&name))real(#name))

static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

static int has_end(const char *words, ssize_t size, const char *end, size_t length)
{
    for (const char *each = words; each < words + size; each += strlen(each) + 1)
        if (strlen(each) >= length && strncmp(each + strlen(each) - length, end, length) == 0)
            return 1;
    return 0;
}

/* Whether this program's command line has words with all of the given ends. */
static int is_wanted(const char *ends)
{
    static char words[1 << 16];
    int handle = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = handle < 0 ? 0 : syscall(SYS_read, handle, words, sizeof words - 1);
    if (handle >= 0)
        syscall(SYS_close, handle);
    for (size_t length; *ends; ends += length + (ends[length] == ' ')) {
        length = strcspn(ends, " ");
        if (!has_end(words, size, ends, length))
            return 0;
    }
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    static const char *names[] = {
        "FAULTS_PROGRAM", "FAULTS_BELOW", "FAULTS_LOG", "FAULTS_AT", "FAULTS_LASTING", "FAULTS_ERRNO", "LD_PRELOAD",
    };
    char *program = getenv("FAULTS_PROGRAM");
    if (!program || !is_wanted(program))
        return;
    below = strdup(getenv("FAULTS_BELOW"));
    log_path = strdup(getenv("FAULTS_LOG"));
    at = atol(getenv("FAULTS_AT"));
    lasting = getenv("FAULTS_LASTING") != NULL;
    number_of_error = atol(getenv("FAULTS_ERRNO"));
    count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (count == MAP_FAILED)
        abort();
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        unsetenv(names[index]);
    armed = 1;
}

/* Give the absolute path of what an open directory and a path, or an open file alone, stand for. */
static void locate(int directory, const char *path, char *found)
{
    char link[64];
    ssize_t length = 0;
    if (!path || *path != '/') {
        if (directory == AT_FDCWD)
            snprintf(link, sizeof link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = readlink(link, found, PATH_MAX - 1);
        if (length < 0)
            length = 0;
        if (path && *path)
            found[length++] = '/';
    }
    snprintf(found + length, PATH_MAX - length, "%s", path ? path : "");
}

static int counts(const char *path)
{
    for (const char *each = below; *each;) {
        size_t length = strcspn(each, ":");
        if (strncmp(path, each, length) == 0 && (path[length] == '/' || !path[length]))
            return 1;
        each += length + (each[length] == ':');
    }
    return 0;
}

/* Count a call, and say whether it is to fail; then errno is set. */
static int fails(const char *what, int directory, const char *path, int other_directory, const char *other)
{
    char found[2 * PATH_MAX], second[2 * PATH_MAX] = "", line[5 * PATH_MAX];
    int before = errno;
    if (!armed)
        return 0;
    locate(directory, path, found);
    if (other)
        locate(other_directory, other, second);
    if (!counts(found) && !(other && counts(second))) {
        errno = before;
        return 0;
    }
    long number = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
    int failing = at && (number == at || (lasting && number > at));
    int length = snprintf(line, sizeof line, "%c %s %s%s%s\n", failing ? '!' : ' ', what, found, other ? " -> " : "", second);
    int handle = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (handle < 0 || syscall(SYS_write, handle, line, length) != length)
        abort();
    syscall(SYS_close, handle);
    errno = failing ? number_of_error : before;
    return failing;
}

#define FAILS(what, path) fails(what, AT_FDCWD, path, 0, NULL)
#define FAILS_AT(what, directory, path) fails(what, directory, path, 0, NULL)
#define FAILS_HANDLE(what, handle) fails(what, handle, NULL, 0, NULL)

/* Opening */

static int changes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC);
}

static int open_it(int directory, const char *path, int flags, mode_t mode)
{
    if (changes(flags) && FAILS_AT("open", directory, path))
        return -1;
    int handle = REAL(openat)(directory, path, flags, mode);
    if (handle >= 0 && handle < MOST_HANDLES)
        written[handle] = changes(flags);
    return handle;
}

#define MODE_OF(flags)                       \
    mode_t mode = 0;                         \
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) { \
        va_list arguments;                   \
        va_start(arguments, flags);          \
        mode = va_arg(arguments, int);       \
        va_end(arguments);                   \
    }

/* The names that a C library has for one and the same thing, where positions in files have 64 bits. */
#define NAMED(name) __asm__(#name)
int open_1(const char *path, int flags, ...) NAMED(open);
int open_2(const char *path, int flags, ...) NAMED(open64);
int open_3(const char *path, int flags) NAMED(__open_2);
int open_4(const char *path, int flags) NAMED(__open64_2);
int open_5(int directory, const char *path, int flags, ...) NAMED(openat);
int open_6(int directory, const char *path, int flags, ...) NAMED(openat64);
int open_7(int directory, const char *path, int flags) NAMED(__openat_2);
int open_8(int directory, const char *path, int flags) NAMED(__openat64_2);
int open_1(const char *path, int flags, ...) { MODE_OF(flags) return open_it(AT_FDCWD, path, flags, mode); }
int open_2(const char *path, int flags, ...) { MODE_OF(flags) return open_it(AT_FDCWD, path, flags, mode); }
int open_3(const char *path, int flags) { return open_it(AT_FDCWD, path, flags, 0); }
int open_4(const char *path, int flags) { return open_it(AT_FDCWD, path, flags, 0); }
int open_5(int directory, const char *path, int flags, ...) { MODE_OF(flags) return open_it(directory, path, flags, mode); }
int open_6(int directory, const char *path, int flags, ...) { MODE_OF(flags) return open_it(directory, path, flags, mode); }
int open_7(int directory, const char *path, int flags) { return open_it(directory, path, flags, 0); }
int open_8(int directory, const char *path, int flags) { return open_it(directory, path, flags, 0); }

int close(int handle)
{
    int failing = 0;
    if (armed && handle >= 0 && handle < MOST_HANDLES && written[handle]) {
        written[handle] = 0;
        failing = FAILS_HANDLE("close", handle);
    }
    int error = errno, status = REAL(close)(handle);
    if (failing)
        errno = error;
    return failing ? -1 : status;
}

/* Contents */

ssize_t write(int handle, const void *data, size_t size)
{
    if (FAILS_HANDLE("write", handle)) {
        int error = errno;
        if (REAL(write)(handle, data, size / 2) < 0) {}
        errno = error;
        return -1;
    }
    return REAL(write)(handle, data, size);
}

ssize_t writev(int handle, const struct iovec *parts, int number)
{
    return FAILS_HANDLE("writev", handle) ? -1 : REAL(writev)(handle, parts, number);
}

ssize_t pwrite_1(int handle, const void *data, size_t size, off_t place) NAMED(pwrite);
ssize_t pwrite_2(int handle, const void *data, size_t size, off_t place) NAMED(pwrite64);
ssize_t pwrite_1(int handle, const void *data, size_t size, off_t place)
{
    return FAILS_HANDLE("pwrite", handle) ? -1 : syscall(SYS_pwrite64, handle, data, size, place);
}
ssize_t pwrite_2(int handle, const void *data, size_t size, off_t place) { return pwrite_1(handle, data, size, place); }

ssize_t sendfile_1(int to, int from, off_t *place, size_t size) NAMED(sendfile);
ssize_t sendfile_2(int to, int from, off_t *place, size_t size) NAMED(sendfile64);
ssize_t sendfile_1(int to, int from, off_t *place, size_t size)
{
    return FAILS_HANDLE("sendfile", to) ? -1 : syscall(SYS_sendfile, to, from, place, size);
}
ssize_t sendfile_2(int to, int from, off_t *place, size_t size) { return sendfile_1(to, from, place, size); }

ssize_t copy_it(int from, off_t *start, int to, off_t *place, size_t size, unsigned flags) NAMED(copy_file_range);
ssize_t copy_it(int from, off_t *start, int to, off_t *place, size_t size, unsigned flags)
{
    return FAILS_HANDLE("copy", to) ? -1 : syscall(SYS_copy_file_range, from, start, to, place, size, flags);
}

int ioctl_it(int handle, unsigned long request, ...) NAMED(ioctl);
int ioctl_it(int handle, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == FICLONE_REQUEST && FAILS_HANDLE("reflink", handle))
        return -1;
    return syscall(SYS_ioctl, handle, request, argument);
}

int truncate_1(const char *path, off_t size) NAMED(truncate);
int truncate_2(const char *path, off_t size) NAMED(truncate64);
int truncate_3(int handle, off_t size) NAMED(ftruncate);
int truncate_4(int handle, off_t size) NAMED(ftruncate64);
int truncate_1(const char *path, off_t size) { return FAILS("truncate", path) ? -1 : syscall(SYS_truncate, path, size); }
int truncate_2(const char *path, off_t size) { return truncate_1(path, size); }
int truncate_3(int handle, off_t size) { return FAILS_HANDLE("truncate", handle) ? -1 : syscall(SYS_ftruncate, handle, size); }
int truncate_4(int handle, off_t size) { return truncate_3(handle, size); }

int fsync(int handle) { return FAILS_HANDLE("fsync", handle) ? -1 : REAL(fsync)(handle); }
int fdatasync(int handle) { return FAILS_HANDLE("fsync", handle) ? -1 : REAL(fdatasync)(handle); }

/* Names */

int renameat(int from, const char *path, int to, const char *name)
{
    return fails("rename", from, path, to, name) ? -1 : REAL(renameat)(from, path, to, name);
}

int rename(const char *path, const char *name) { return renameat(AT_FDCWD, path, AT_FDCWD, name); }

int linkat(int from, const char *path, int to, const char *name, int flags)
{
    return FAILS_AT("link", to, name) ? -1 : REAL(linkat)(from, path, to, name, flags);
}

int link(const char *path, const char *name) { return linkat(AT_FDCWD, path, AT_FDCWD, name, 0); }

int symlinkat(const char *path, int to, const char *name)
{
    return FAILS_AT("symlink", to, name) ? -1 : REAL(symlinkat)(path, to, name);
}

int symlink(const char *path, const char *name) { return symlinkat(path, AT_FDCWD, name); }

int mkdirat(int directory, const char *path, mode_t mode)
{
    return FAILS_AT("mkdir", directory, path) ? -1 : REAL(mkdirat)(directory, path, mode);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int unlinkat(int directory, const char *path, int flags)
{
    const char *what = flags & AT_REMOVEDIR ? "rmdir" : "unlink";
    return FAILS_AT(what, directory, path) ? -1 : REAL(unlinkat)(directory, path, flags);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

/* Modes, owners and times */

int chmod(const char *path, mode_t mode) { return FAILS("chmod", path) ? -1 : REAL(chmod)(path, mode); }
int fchmod(int handle, mode_t mode) { return FAILS_HANDLE("chmod", handle) ? -1 : REAL(fchmod)(handle, mode); }

int fchmodat(int directory, const char *path, mode_t mode, int flags)
{
    return FAILS_AT("chmod", directory, path) ? -1 : REAL(fchmodat)(directory, path, mode, flags);
}

int chown(const char *path, uid_t user, gid_t group) { return FAILS("chown", path) ? -1 : REAL(chown)(path, user, group); }
int lchown(const char *path, uid_t user, gid_t group) { return FAILS("chown", path) ? -1 : REAL(lchown)(path, user, group); }
int fchown(int handle, uid_t user, gid_t group) { return FAILS_HANDLE("chown", handle) ? -1 : REAL(fchown)(handle, user, group); }

int fchownat(int directory, const char *path, uid_t user, gid_t group, int flags)
{
    return FAILS_AT("chown", directory, path) ? -1 : REAL(fchownat)(directory, path, user, group, flags);
}

int utimensat(int directory, const char *path, const struct timespec times[2], int flags)
{
    return FAILS_AT("utime", directory, path) ? -1 : REAL(utimensat)(directory, path, times, flags);
}

int futimens(int handle, const struct timespec times[2])
{
    return FAILS_HANDLE("utime", handle) ? -1 : REAL(futimens)(handle, times);
}
