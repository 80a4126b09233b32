/*
 * os/posix.c - the file system of the operating system.
 *
 * Rules. No descriptor is ever 0, 1 or 2: a program that closed them would print into a table. Every descriptor is closed by
 * exec. A path's last part is never followed when it is a symbolic link, and what is opened is a regular file: a FIFO planted
 * in its place neither blocks nor is read. EINTR and short counts end here, except for sync: a sync that did not succeed is
 * reported, whatever the reason, and the caller never repeats it.
 *
 * Locks are those of the open file description (F_OFD_SETLK). They exclude other processes and other handles of this one alike,
 * and are not lost when an unrelated descriptor of the same file is closed. A forked child inherits the description; that it
 * closes its copy, or lives on after its parent's close(), changes nothing about who holds the lock.
 *
 * Threads: any; a file's fields are constant after open.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/error.h"
#include "os/alloc.h"
#include "os/fs.h"

#define LOWEST_FD 3

typedef struct posix_file {
    vr_file base;
    int fd;
    bool locks;  /* holds the lock of its file */
    pid_t owner; /* the process that opened it */
    char path[]; /* for messages */
} posix_file;

static posix_file *posix_of(vr_file *file) {
    return (posix_file *)file;
}

/* Moves a descriptor above the standard ones. Returns -1 with errno when there is none left. */
static int above_standard(int fd) {
    if (fd < 0 || fd >= LOWEST_FD) return fd;
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
    int os_error = errno;
    close(fd);
    errno = os_error;
    return moved;
}

static int open_fd(const char *path, int flags) {
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, 0600);
    } while (fd < 0 && errno == EINTR);
    return above_standard(fd);
}

static varve_status not_regular(const char *path, varve_error *err) {
    return vr_error_set(err, VARVE_INVALID, "cannot open %s: it is not a regular file", path);
}

/* O_NONBLOCK: opening a FIFO must not wait for its other end. It means nothing to a regular file. */
static varve_status open_regular(const char *path, int flags, int *fd, varve_error *err) {
    int opened = open_fd(path, flags | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (opened < 0 && errno == ELOOP) {
        return vr_error_os(err, ELOOP, "cannot open %s, symbolic links are not followed", path);
    }
    if (opened < 0 && errno != EISDIR && errno != ENXIO) return vr_error_os(err, errno, "cannot open %s", path);
    if (opened < 0) return not_regular(path, err); /* a directory to be written, a FIFO or socket that nobody reads */
    struct stat stat;
    varve_status status = VARVE_OK;
    if (fstat(opened, &stat) != 0) {
        status = vr_error_os(err, errno, "cannot examine %s", path);
    } else if (!S_ISREG(stat.st_mode)) {
        status = not_regular(path, err);
    }
    if (status != VARVE_OK) {
        close(opened);
        return status;
    }
    *fd = opened;
    return VARVE_OK;
}

/* Takes fd over, also on failure. */
static varve_status make_file(vr_fs *fs, const char *path, int fd, vr_file **file, varve_error *err) {
    VR_ASSERT(fd >= LOWEST_FD);
    size_t path_size = strlen(path) + 1;
    posix_file *created = vr_os_alloc(sizeof *created + path_size);
    if (!created) {
        close(fd);
        return vr_error_nomem(err, sizeof *created + path_size, "an open file");
    }
    created->base.fs = fs;
    created->fd = fd;
    created->owner = getpid();
    memcpy(created->path, path, path_size);
    *file = &created->base;
    return VARVE_OK;
}

static varve_status posix_open(vr_fs *fs, const char *path, unsigned flags, vr_file **file, varve_error *err) {
    int os_flags = !(flags & VR_OPEN_WRITE) ? O_RDONLY : flags & VR_OPEN_READ ? O_RDWR : O_WRONLY;
    if (flags & VR_OPEN_CREATE) os_flags |= O_CREAT;
    if (flags & VR_OPEN_EXCLUSIVE) os_flags |= O_EXCL;
    if (flags & VR_OPEN_TRUNCATE) os_flags |= O_TRUNC;
    int fd;
    varve_status status = open_regular(path, os_flags, &fd, err);
    return status == VARVE_OK ? make_file(fs, path, fd, file, err) : status;
}

static varve_status posix_remove(vr_fs *fs, const char *path, varve_error *err) {
    (void)fs;
    return unlink(path) == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot remove %s", path);
}

static varve_status posix_rename(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    (void)fs;
    return rename(from, to) == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot rename %s to %s", from, to);
}

static varve_status posix_link(vr_fs *fs, const char *from, const char *to, varve_error *err) {
    (void)fs;
    if (link(from, to) == 0) return VARVE_OK;
    int os_error = errno;
    varve_status status = vr_error_os(err, os_error, "cannot link %s as %s", from, to);
    if (os_error == EXDEV || os_error == EPERM || os_error == EMLINK || os_error == EOPNOTSUPP || os_error == ENOSYS) {
        status = VARVE_UNSUPPORTED;
        if (err) err->code = status;
    }
    return status;
}

static varve_status posix_make_dir(vr_fs *fs, const char *path, varve_error *err) {
    (void)fs;
    return mkdir(path, 0700) == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot create the directory %s", path);
}

static varve_status posix_remove_dir(vr_fs *fs, const char *path, varve_error *err) {
    (void)fs;
    return rmdir(path) == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot remove the directory %s", path);
}

static varve_status posix_sync_dir(vr_fs *fs, const char *path, varve_error *err) {
    (void)fs;
    int fd = open_fd(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return vr_error_os(err, errno, "cannot open the directory %s", path);
    varve_status status = VARVE_OK;
    /* EINVAL is the answer of file systems that have no such call, and make entries durable without it or not at all. */
    if (fsync(fd) != 0 && errno != EINVAL) status = vr_error_os(err, errno, "cannot sync the directory %s", path);
    close(fd);
    return status;
}

static varve_status posix_list(vr_fs *fs, const char *path, vr_fs_list_fn visit, void *context, varve_error *err) {
    (void)fs;
    int fd = open_fd(path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int os_error = errno;
        if (fd >= 0) close(fd);
        return vr_error_os(err, os_error, "cannot open the directory %s", path);
    }
    varve_status status = VARVE_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno != 0) status = vr_error_os(err, errno, "cannot read the directory %s", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (!visit(context, entry->d_name)) break;
    }
    closedir(dir);
    return status;
}

/* Takes the lock of the whole file. *gone: the file has no name any more, so that the lock is worth nothing. */
static varve_status lock_fd(int fd, const char *path, bool *gone, varve_error *err) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &range) != 0) {
        int os_error = errno;
        if (os_error != EAGAIN && os_error != EACCES) return vr_error_os(err, os_error, "cannot lock %s", path);
        return vr_error_set(err, VARVE_BUSY, "%s is locked by another process, or by another handle of this one", path);
    }
    struct stat stat;
    if (fstat(fd, &stat) != 0) return vr_error_os(err, errno, "cannot examine %s", path);
    *gone = stat.st_nlink == 0;
    return VARVE_OK;
}

/* Between open and lock the holder before may have removed the file; then the next attempt meets or creates its successor. */
static varve_status posix_lock(vr_fs *fs, const char *path, vr_file **lock, varve_error *err) {
    for (;;) {
        int fd;
        bool gone = false;
        varve_status status = open_regular(path, O_RDWR | O_CREAT, &fd, err);
        if (status != VARVE_OK) return status;
        status = lock_fd(fd, path, &gone, err);
        if (status == VARVE_OK && !gone) {
            status = make_file(fs, path, fd, lock, err);
            if (status == VARVE_OK) posix_of(*lock)->locks = true;
            return status;
        }
        close(fd);
        if (status != VARVE_OK) return status;
    }
}

/* Only the process that took a lock gives it back by hand: a forked child closing its copy must not free its parent's. */
static varve_status posix_close(vr_file *file, varve_error *err) {
    posix_file *self = posix_of(file);
    if (self->locks && self->owner == getpid()) {
        struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        fcntl(self->fd, F_OFD_SETLK, &range); /* should it fail, closing does it */
    }
    varve_status status = VARVE_OK;
    /* After EINTR the descriptor is closed on Linux, and closing it again could hit somebody else's. */
    if (close(self->fd) != 0 && errno != EINTR) status = vr_error_os(err, errno, "cannot close %s", self->path);
    vr_os_free(self);
    return status;
}

static varve_status posix_pread(vr_file *file, void *data, size_t size, uint64_t offset, size_t *got, varve_error *err) {
    posix_file *self = posix_of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(self->fd, (char *)data + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return vr_error_os(err, errno, "cannot read %s at offset %" PRIu64, self->path, offset + done);
        if (count == 0) break;
        done += (size_t)count;
    }
    *got = done;
    return VARVE_OK;
}

static varve_status posix_pwrite(vr_file *file, const void *data, size_t size, uint64_t offset, varve_error *err) {
    posix_file *self = posix_of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t count = pwrite(self->fd, (const char *)data + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            return vr_error_os(err, count < 0 ? errno : EIO, "cannot write %s at offset %" PRIu64, self->path, offset + done);
        }
        done += (size_t)count;
    }
    return VARVE_OK;
}

static varve_status posix_sync(vr_file *file, varve_error *err) {
    posix_file *self = posix_of(file);
    return fdatasync(self->fd) == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot sync %s", self->path);
}

static varve_status posix_get_size(vr_file *file, uint64_t *size, varve_error *err) {
    posix_file *self = posix_of(file);
    struct stat stat;
    if (fstat(self->fd, &stat) != 0) return vr_error_os(err, errno, "cannot examine %s", self->path);
    *size = (uint64_t)stat.st_size;
    return VARVE_OK;
}

static varve_status posix_set_size(vr_file *file, uint64_t size, varve_error *err) {
    posix_file *self = posix_of(file);
    int result;
    do {
        result = ftruncate(self->fd, (off_t)size);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? VARVE_OK : vr_error_os(err, errno, "cannot set the size of %s to %" PRIu64, self->path, size);
}

/* Writes zeros from the present end up to size: blocks exist where there were none, and what is there stays. */
static varve_status reserve_by_writing(vr_file *file, uint64_t size, varve_error *err) {
    static const char zeros[64 << 10];
    uint64_t at;
    varve_status status = posix_get_size(file, &at, err);
    while (status == VARVE_OK && at < size) {
        size_t piece = size - at < sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        status = posix_pwrite(file, zeros, piece, at, err);
        at += piece;
    }
    return status;
}

static varve_status posix_reserve(vr_file *file, uint64_t size, varve_error *err) {
    posix_file *self = posix_of(file);
    if (size == 0) return VARVE_OK;
    int result;
    do {
        result = fallocate(self->fd, 0, 0, (off_t)size);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return VARVE_OK;
    if (errno == EOPNOTSUPP || errno == ENOSYS) return reserve_by_writing(file, size, err);
    return vr_error_os(err, errno, "cannot reserve %" PRIu64 " bytes for %s", size, self->path);
}

/* A mapping beyond the end of the file would end the process by SIGBUS when touched, so it is refused. */
static varve_status posix_map(vr_file *file, size_t size, bool writable, void **address, varve_error *err) {
    posix_file *self = posix_of(file);
    uint64_t file_size;
    varve_status status = posix_get_size(file, &file_size, err);
    if (status != VARVE_OK) return status;
    if (size == 0 || size > file_size) {
        return vr_error_set(err, VARVE_INVALID, "cannot map %zu bytes of %s, which has %" PRIu64, size, self->path, file_size);
    }
    void *mapped = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, self->fd, 0);
    if (mapped == MAP_FAILED) return vr_error_os(err, errno, "cannot map %zu bytes of %s", size, self->path);
    *address = mapped;
    return VARVE_OK;
}

static void posix_unmap(vr_file *file, void *address, size_t size) {
    (void)file;
    VR_CHECK(munmap(address, size) == 0);
}

static const vr_fs_ops posix_ops = {
    .open = posix_open,
    .remove = posix_remove,
    .rename = posix_rename,
    .link = posix_link,
    .make_dir = posix_make_dir,
    .remove_dir = posix_remove_dir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .lock = posix_lock,
    .close = posix_close,
    .pread = posix_pread,
    .pwrite = posix_pwrite,
    .sync = posix_sync,
    .get_size = posix_get_size,
    .set_size = posix_set_size,
    .reserve = posix_reserve,
    .map = posix_map,
    .unmap = posix_unmap,
};

/* Nothing in it ever changes; the handle type is not const because other file systems have a state. */
vr_fs *vr_fs_posix(void) {
    static vr_fs posix = {.ops = &posix_ops};
    return &posix;
}
