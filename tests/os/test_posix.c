/*
 * What only the posix file system has: descriptors, modes, hostile directories, locks among processes, failing system calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs_fixture.h"
#include "os/thread.h"

#define RW (VR_OPEN_READ | VR_OPEN_WRITE)

#define POSIX_TEST(name)                                                                                                           \
    static void name(vr_fs *fs, const char *dir);                                                                                  \
    Test(posix, name) {                                                                                                            \
        fs_run(FS_POSIX, name);                                                                                                    \
    }                                                                                                                              \
    static void name(vr_fs *fs, const char *dir)

/* From now on system call number fails with os_error in this process. */
static void deny(int number, int os_error) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)os_error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        cr_skip_test("the kernel filters no system calls here: %s", strerror(errno));
    }
}

/* The descriptors in use, one character each. */
typedef struct fd_set_text {
    char used[257];
} fd_set_text;

static fd_set_text fds_in_use(void) {
    fd_set_text fds = {""};
    for (int fd = 0; fd < 256; fd++) fds.used[fd] = fcntl(fd, F_GETFD) >= 0 ? 'x' : '-';
    return fds;
}

/* Runs body in a forked child. Returns its exit status. */
static int in_child(int (*body)(void *context), void *context) {
    fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) _exit(body(context));
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

typedef struct paths {
    vr_fs *fs;
    char first[300];
    char second[300];
    vr_file *lock;
} paths;

static paths paths_in(vr_fs *fs, const char *dir, const char *first, const char *second) {
    paths p = {.fs = fs};
    snprintf(p.first, sizeof p.first, "%s", in(dir, first));
    snprintf(p.second, sizeof p.second, "%s", in(dir, second));
    return p;
}

static int open_with_standard_closed(void *context) {
    paths *p = context;
    for (int fd = 0; fd < 3; fd++) close(fd);
    vr_file *file;
    vr_file *lock;
    if (vr_fs_open(p->fs, p->first, RW | VR_OPEN_CREATE, &file, NULL) != VARVE_OK) return 1;
    if (vr_fs_lock(p->fs, p->second, &lock, NULL) != VARVE_OK) return 2;
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) return 3;
    }
    if (vr_file_pwrite(file, "x", 1, 0, NULL) != VARVE_OK) return 4;
    vr_file_close(file, NULL);
    vr_file_close(lock, NULL);
    return 0;
}

POSIX_TEST(no_descriptor_is_a_standard_one) {
    paths p = paths_in(fs, dir, "a", "LOCK");
    cr_assert_eq(in_child(open_with_standard_closed, &p), 0);
    cr_assert(file_is(fs, in(dir, "a"), "x"));
}

POSIX_TEST(descriptors_are_closed_by_exec) {
    vr_file *lock;
    fd_set_text before = fds_in_use();
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "LOCK"), &lock, NULL), VARVE_OK);
    fd_set_text after = fds_in_use();
    int opened = 0;
    for (int fd = 0; fd < 256; fd++) {
        if (after.used[fd] == before.used[fd]) continue;
        opened++;
        cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC, "descriptor %d", fd);
    }
    cr_assert_eq(opened, 2);
    vr_file_close(file, NULL);
    vr_file_close(lock, NULL);
    after = fds_in_use();
    cr_assert_str_eq(after.used, before.used, "close gives the descriptors back");
}

static bool ignore_name(void *context, const char *name) {
    (void)context;
    (void)name;
    return false;
}

POSIX_TEST(directory_calls_leave_no_descriptor) {
    fd_set_text before = fds_in_use();
    put_file(fs, in(dir, "a"), "x");
    cr_assert_eq(vr_fs_list(fs, dir, ignore_name, NULL, NULL), VARVE_OK);
    cr_assert_eq(vr_fs_list(fs, in(dir, "a"), ignore_name, NULL, NULL), VARVE_IO);
    cr_assert_eq(vr_fs_sync_dir(fs, dir, NULL), VARVE_OK);
    fd_set_text after = fds_in_use();
    cr_assert_str_eq(after.used, before.used);
}

POSIX_TEST(modes_are_the_owners_alone) {
    struct stat stat_of;
    mode_t mask = umask(0);
    vr_file_close(open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE), NULL);
    cr_assert_eq(vr_fs_make_dir(fs, in(dir, "d"), NULL), VARVE_OK);
    umask(mask);
    cr_assert_eq(stat(in(dir, "a"), &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 0777, 0600);
    cr_assert_eq(stat(in(dir, "d"), &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 0777, 0700);
}

POSIX_TEST(symbolic_links_are_not_followed) {
    varve_error err;
    vr_file *file;
    put_file(fs, in(dir, "target"), "secret");
    cr_assert_eq(symlink("target", in(dir, "link")), 0);
    cr_assert_eq(vr_fs_open(fs, in(dir, "link"), VR_OPEN_READ, &file, &err), VARVE_IO);
    cr_assert(strstr(err.message, "symbolic") != NULL, "%s", err.message);
    cr_assert_eq(vr_fs_open(fs, in(dir, "link"), RW | VR_OPEN_CREATE | VR_OPEN_TRUNCATE, &file, &err), VARVE_IO);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "link"), &file, &err), VARVE_IO);
    cr_assert(file_is(fs, in(dir, "target"), "secret"));
}

POSIX_TEST(a_fifo_neither_blocks_nor_is_read) {
    varve_error err;
    vr_file *file;
    cr_assert_eq(mkfifo(in(dir, "fifo"), 0600), 0);
    alarm(10);
    cr_assert_eq(vr_fs_open(fs, in(dir, "fifo"), VR_OPEN_READ, &file, &err), VARVE_INVALID);
    cr_assert_eq(vr_fs_open(fs, in(dir, "fifo"), RW, &file, &err), VARVE_INVALID);
    cr_assert_eq(vr_fs_open(fs, in(dir, "fifo"), VR_OPEN_WRITE, &file, &err), VARVE_INVALID);
    cr_assert_eq(vr_fs_lock(fs, in(dir, "fifo"), &file, &err), VARVE_INVALID);
    alarm(0);
}

POSIX_TEST(a_link_across_file_systems_is_unsupported) {
    varve_error err;
    struct stat here;
    struct stat there;
    char other[64];
    snprintf(other, sizeof other, "/dev/shm/varve-link-%d", (int)getpid());
    if (stat(dir, &here) != 0 || stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev) {
        cr_skip_test("/dev/shm is no second file system here");
    }
    put_file(fs, in(dir, "a"), "x");
    cr_assert_eq(vr_fs_link(fs, in(dir, "a"), other, &err), VARVE_UNSUPPORTED);
    cr_assert_eq(err.code, VARVE_UNSUPPORTED);
    cr_assert_eq(err.os_error, EXDEV);
}

POSIX_TEST(a_link_that_the_file_system_refuses_is_unsupported) {
    varve_error err;
    put_file(fs, in(dir, "a"), "x");
    deny(SYS_link, EPERM);
    cr_assert_eq(vr_fs_link(fs, in(dir, "a"), in(dir, "b"), &err), VARVE_UNSUPPORTED);
    cr_assert_eq(err.os_error, EPERM);
}

POSIX_TEST(reserve_works_without_fallocate) {
    varve_error err;
    uint64_t size;
    char bytes[4];
    size_t got;
    struct stat stat_of;
    put_file(fs, in(dir, "a"), "0123");
    vr_file *file = open_file(fs, in(dir, "a"), RW);
    deny(SYS_fallocate, EOPNOTSUPP);
    cr_assert_eq(vr_file_reserve(file, 300001, &err), VARVE_OK, "%s", err.message);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 300001);
    cr_assert_eq(vr_file_pread(file, bytes, 4, 0, &got, &err), VARVE_OK);
    cr_assert(memcmp(bytes, "0123", 4) == 0);
    cr_assert_eq(vr_file_sync(file, &err), VARVE_OK);
    cr_assert_eq(stat(in(dir, "a"), &stat_of), 0);
    cr_assert_geq((uint64_t)stat_of.st_blocks * 512, 300001, "the blocks must exist");
    cr_assert_eq(vr_file_reserve(file, 10, &err), VARVE_OK);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 300001);
    vr_file_close(file, NULL);
}

POSIX_TEST(a_full_disk_is_no_space) {
    varve_error err;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    deny(SYS_fallocate, ENOSPC);
    cr_assert_eq(vr_file_reserve(file, 4096, &err), VARVE_NO_SPACE);
    cr_assert(strstr(err.message, "4096") != NULL, "%s", err.message);
    deny(SYS_pwrite64, ENOSPC);
    cr_assert_eq(vr_file_pwrite(file, "x", 1, 77, &err), VARVE_NO_SPACE);
    cr_assert(strstr(err.message, "offset 77") != NULL, "%s", err.message);
    vr_file_close(file, NULL);
}

POSIX_TEST(a_failed_sync_is_reported_even_when_interrupted) {
    varve_error err;
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    deny(SYS_fdatasync, EINTR);
    cr_assert_eq(vr_file_sync(file, &err), VARVE_IO);
    cr_assert_eq(err.os_error, EINTR);
    vr_file_close(file, NULL);
}

POSIX_TEST(a_directory_that_cannot_be_synced) {
    varve_error err;
    deny(SYS_fsync, EIO);
    cr_assert_eq(vr_fs_sync_dir(fs, dir, &err), VARVE_IO);
}

POSIX_TEST(a_file_system_without_directory_sync_is_accepted) {
    deny(SYS_fsync, EINVAL);
    cr_assert_eq(vr_fs_sync_dir(fs, dir, NULL), VARVE_OK);
}

/* A write that the kernel cuts short at the limit of file size, and whose rest then fails. */
POSIX_TEST(short_writes_are_continued_until_they_fail) {
    varve_error err;
    uint64_t size;
    static char bytes[8192];
    struct rlimit limit = {.rlim_cur = 6000, .rlim_max = RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    vr_file *file = open_file(fs, in(dir, "a"), RW | VR_OPEN_CREATE);
    cr_assert_eq(vr_file_pwrite(file, bytes, sizeof bytes, 0, &err), VARVE_NO_SPACE);
    cr_assert_eq(err.os_error, EFBIG);
    cr_assert(strstr(err.message, "offset 6000") != NULL, "%s", err.message);
    cr_assert_eq(vr_file_get_size(file, &size, &err), VARVE_OK);
    cr_assert_eq(size, 6000);
    vr_file_close(file, NULL);
}

static int try_lock(void *context) {
    paths *p = context;
    vr_file *lock;
    varve_status status = vr_fs_lock(p->fs, p->first, &lock, NULL);
    if (status == VARVE_OK) vr_file_close(lock, NULL);
    return -(int)status;
}

static int close_inherited(void *context) {
    paths *p = context;
    vr_file_close(p->lock, NULL);
    return try_lock(context);
}

POSIX_TEST(a_lock_excludes_other_processes) {
    paths p = paths_in(fs, dir, "LOCK", "x");
    cr_assert_eq(in_child(try_lock, &p), 0);
    cr_assert_eq(vr_fs_lock(fs, p.first, &p.lock, NULL), VARVE_OK);
    cr_assert_eq(in_child(try_lock, &p), -VARVE_BUSY);
    cr_assert_eq(in_child(close_inherited, &p), -VARVE_BUSY, "a child that closes its copy must not free its parent's lock");
    cr_assert_eq(in_child(try_lock, &p), -VARVE_BUSY);
    cr_assert_eq(vr_file_close(p.lock, NULL), VARVE_OK);
    cr_assert_eq(in_child(try_lock, &p), 0);
}

POSIX_TEST(a_dead_process_holds_no_lock) {
    paths p = paths_in(fs, dir, "LOCK", "x");
    int ready[2];
    cr_assert_eq(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        vr_file *lock;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char ok = vr_fs_lock(fs, p.first, &lock, NULL) == VARVE_OK;
        if (write(ready[1], &ok, 1) != 1) _exit(1);
        for (;;) pause();
    }
    char ok = 0;
    cr_assert(read(ready[0], &ok, 1) == 1 && ok);
    cr_assert_eq(try_lock(&p), -VARVE_BUSY);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert_eq(try_lock(&p), 0);
    close(ready[0]);
    close(ready[1]);
}

/* A child that was forked while the lock was held, and lives on, must not keep it from being taken again. */
POSIX_TEST(a_surviving_child_does_not_keep_the_lock) {
    paths p = paths_in(fs, dir, "LOCK", "x");
    cr_assert_eq(vr_fs_lock(fs, p.first, &p.lock, NULL), VARVE_OK);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    varve_status closed = vr_file_close(p.lock, NULL);
    int again = try_lock(&p);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    cr_assert_eq(closed, VARVE_OK);
    cr_assert_eq(again, 0);
}

/* Threads that take a lock and remove its file when they are done. */
typedef struct lockers {
    paths p;
    atomic_bool inside;
    _Atomic unsigned taken;
    _Atomic unsigned wrong;
} lockers;

static void lock_and_remove(void *context) {
    lockers *l = context;
    for (int i = 0; i < 3000; i++) {
        vr_file *lock;
        if (vr_fs_lock(l->p.fs, l->p.first, &lock, NULL) != VARVE_OK) continue;
        if (atomic_exchange(&l->inside, true)) atomic_fetch_add(&l->wrong, 1);
        atomic_fetch_add(&l->taken, 1);
        sched_yield();
        atomic_store(&l->inside, false);
        vr_fs_remove(l->p.fs, l->p.first, NULL);
        vr_file_close(lock, NULL);
    }
}

/* Who opened the file before it was removed must not hold its lock beside the owner of the next file of that name. */
POSIX_TEST(a_removed_lock_file_gives_no_lock) {
    lockers l = {.p = paths_in(fs, dir, "LOCK", "x")};
    vr_thread threads[4];
    for (int i = 0; i < 4; i++) cr_assert_eq(vr_thread_start(&threads[i], "locker", lock_and_remove, &l, NULL), VARVE_OK);
    for (int i = 0; i < 4; i++) vr_thread_join(&threads[i]);
    cr_assert_eq(l.wrong, 0, "%u of %u", (unsigned)l.wrong, (unsigned)l.taken);
    cr_assert_gt(l.taken, 100);
}
