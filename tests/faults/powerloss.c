/* A model of power loss, preloaded into one process (LD_PRELOAD). What of a file below
 * POWERLOSS_WATCH survives is what fsync or fdatasync last saw of it: at each of these calls the
 * content is copied to POWERLOSS_SHADOW/<inode>. A name survives from the next fsync of its folder
 * on: the names are listed in POWERLOSS_SHADOW/names-<inode>. sync_file_range counts for nothing,
 * because it does not reach through a disk's cache. The test that killed the process puts the
 * shadow back in place of the files.
 *
 * The real calls are not made: the model needs no disk, and is faster without. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static __thread unsigned long copies;

/* A test that judges a broken model is worse than none. */
static void give_up(const char *what) {
    perror(what);
    abort();
}

static int watched(const char *path) {
    const char *watch = getenv("POWERLOSS_WATCH");
    size_t length = watch ? strlen(watch) : 0;
    return length > 0 && strncmp(path, watch, length) == 0
        && (path[length] == '/' || path[length] == 0);
}

static void shadow_path(char *out, const char *kind, ino_t inode) {
    snprintf(out, PATH_MAX, "%s/%s%lu", getenv("POWERLOSS_SHADOW"), kind, (unsigned long)inode);
}

/* Under a name of its own until it is whole: the process may be killed at any instruction. */
static int open_new(char *path) {
    snprintf(path, PATH_MAX, "%s/new-%d-%lu", getenv("POWERLOSS_SHADOW"), gettid(), copies++);
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) give_up("powerloss: open a shadow");
    return to;
}

static void write_all(int to, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t wrote = write(to, bytes, length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) give_up("powerloss: write a shadow");
        bytes += wrote;
        length -= (size_t)wrote;
    }
}

static void keep_content(const char *path, ino_t inode) {
    char new[PATH_MAX], kept[PATH_MAX], buffer[1 << 16];
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 && errno == ENOENT) return;
    if (from < 0) give_up("powerloss: open a file");
    int to = open_new(new);
    ssize_t got;
    while ((got = read(from, buffer, sizeof buffer)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) give_up("powerloss: read a file");
        write_all(to, buffer, (size_t)got);
    }
    close(from);
    close(to);
    shadow_path(kept, "", inode);
    if (rename(new, kept) != 0) give_up("powerloss: keep a shadow");
}

static void keep_names(const char *path, ino_t inode) {
    char new[PATH_MAX], kept[PATH_MAX];
    DIR *folder = opendir(path);
    if (!folder) give_up("powerloss: open a folder");
    int to = open_new(new);
    struct dirent *entry;
    while ((entry = readdir(folder))) {
        write_all(to, entry->d_name, strlen(entry->d_name));
        write_all(to, "\n", 1);
    }
    closedir(folder);
    close(to);
    shadow_path(kept, "names-", inode);
    if (rename(new, kept) != 0) give_up("powerloss: keep the names");
}

static int keep(int fd) {
    char link[64], path[PATH_MAX];
    struct stat stat;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0 || fstat(fd, &stat) != 0) return -1;
    path[length] = 0;
    if (stat.st_nlink == 0 || !watched(path)) return 0;
    if (S_ISREG(stat.st_mode)) keep_content(path, stat.st_ino);
    if (S_ISDIR(stat.st_mode)) keep_names(path, stat.st_ino);
    return 0;
}

int fsync(int fd) {
    return keep(fd);
}

int fdatasync(int fd) {
    return keep(fd);
}

int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    (void)fd, (void)offset, (void)length, (void)flags;
    return 0;
}

/* The number of a file that is gone is given to the next one made, which has no content yet. The
 * shadow goes after the file: the other order could lose both. */
static ino_t last_name_of(const char *path) {
    struct stat stat;
    if (lstat(path, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_nlink != 1) return 0;
    return stat.st_ino;
}

static void forget(ino_t inode) {
    char kept[PATH_MAX];
    if (inode == 0) return;
    shadow_path(kept, "", inode);
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    real(kept);
}

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    ino_t gone = last_name_of(path);
    int result = real(path);
    if (result == 0) forget(gone);
    return result;
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *) =
        (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    ino_t gone = strstr(to, getenv("POWERLOSS_SHADOW")) == to ? 0 : last_name_of(to);
    int result = real(from, to);
    if (result == 0) forget(gone);
    return result;
}
