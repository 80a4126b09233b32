/*
 * os/memfs_node.h - what the in-memory file system is made of: nodes, their content, directory entries. Private to memfs*.c.
 *
 * A node is a file or a directory. It lives as long as an entry names it, now or durably, or a handle is open.
 *
 * A file has two contents. The durable one is a blob: counted, shared with clones, changed in place only while nobody shares it.
 * The current one is a run of address space of its own, made when the file is first written or mapped; until then it is what
 * the blob holds. While it is mapped it does not move: it can grow within its capacity only.
 *
 * A directory's entries each have a node now and a node kept, which is what a power cut leaves; either may be NULL, not both.
 *
 * Threads: everything is under the file system's mutex, except the bytes of the current content, which threads store to through
 * mappings at any time: they are only touched by vr_memfs_copy().
 */
#ifndef VR_OS_MEMFS_NODE_H
#define VR_OS_MEMFS_NODE_H

#include <stdatomic.h>

#include "os/memfs.h"
#include "os/thread.h"

typedef struct memfs_node memfs_node;

/* Durable content. */
typedef struct memfs_blob {
    _Atomic uint32_t refs; /* one for each node, of this file system or a clone, that holds it */
    size_t size;
    size_t capacity;
    char bytes[];
} memfs_blob;

typedef struct memfs_entry {
    char *name;
    memfs_node *now;
    memfs_node *kept;
    uint64_t change; /* the change that made now differ from kept; changes that a power cut cannot separate share one number */
} memfs_entry;

struct memfs_node {
    memfs_node *next;  /* of all nodes of the file system */
    memfs_node **link; /* what points at this one in that list */
    memfs_node *twin;  /* its copy, while a clone is made */
    uint64_t id;       /* in the order of creation; the same in a clone */
    uint32_t refs;     /* entries' now and kept, handles */
    uint32_t names;    /* entries' now alone */
    uint32_t handles;
    bool directory;
    bool locked;

    /* A file's. */
    char *bytes;     /* current content; NULL: the blob's first size bytes */
    size_t capacity; /* of bytes: address space that reads as zero beyond size */
    size_t size;
    size_t dirty_from; /* what may differ from the blob; empty when from >= to */
    size_t dirty_to;
    uint32_t maps;
    uint32_t maps_writable; /* while there are any, everything may differ */
    memfs_blob *blob;       /* durable content; NULL: empty */

    /* A directory's. */
    memfs_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
};

struct vr_memfs {
    vr_fs base;
    vr_mutex mutex;
    memfs_node *nodes; /* under mutex, and all that hangs on it */
    memfs_node *root;
    uint64_t next_id;
    uint64_t next_change;
    uint64_t space;     /* under mutex; 0: no bound */
    vr_memfs_hook hook; /* under mutex; called without it */
    void *hook_context;
    uint64_t operation;
};

/* Copies bytes that other threads may be storing to or loading through a mapping. */
void vr_memfs_copy(char *to, const char *from, size_t size);
void vr_memfs_zero(char *to, size_t size);

/* A new node with no references; NULL without memory. Nodes die in vr_memfs_node_unref() when the last reference goes. */
memfs_node *vr_memfs_node_create(vr_memfs *memfs, bool directory);
void vr_memfs_node_free(memfs_node *node);
void vr_memfs_node_ref(memfs_node *node);
void vr_memfs_node_unref(memfs_node *node);

/* Gives the current content an address space of its own, of at least capacity bytes. VARVE_NOMEM; VARVE_NO_SPACE while mapped. */
varve_status vr_memfs_node_grow(memfs_node *node, size_t capacity, const char *path, varve_error *err);
/* Sets the size, with zeros where it grows. VARVE_NO_SPACE beyond the bound. */
varve_status vr_memfs_node_resize(vr_memfs *memfs, memfs_node *node, uint64_t size, const char *path, varve_error *err);
void vr_memfs_node_dirty(memfs_node *node, size_t from, size_t to);
bool vr_memfs_node_is_dirty(const memfs_node *node);
const char *vr_memfs_node_bytes(const memfs_node *node); /* current content */
/* Makes the current content durable. False without memory: nothing has changed. */
bool vr_memfs_node_sync(memfs_node *node);

memfs_blob *vr_memfs_blob_create(size_t size);
void vr_memfs_blob_unref(memfs_blob *blob);

/* Entries. find returns NULL when there is none, also of names that are only kept: those have now == NULL. */
memfs_entry *vr_memfs_dir_find(memfs_node *dir, const char *name, size_t name_size);
/* Finds or adds. NULL without memory. An added one has neither node: give it one, or call trim. */
memfs_entry *vr_memfs_dir_add(memfs_node *dir, const char *name, size_t name_size);
void vr_memfs_entry_set_now(memfs_entry *entry, memfs_node *node, uint64_t change); /* node may be NULL */
void vr_memfs_entry_set_kept(memfs_entry *entry, memfs_node *node);
void vr_memfs_dir_trim(memfs_node *dir); /* drops entries that have neither node */
bool vr_memfs_dir_is_empty(const memfs_node *dir);
void vr_memfs_dir_rename_change(memfs_node *dir, uint64_t from, uint64_t to);

/* A path cut into the directory that holds its last part, and that part. */
typedef struct memfs_place {
    memfs_node *dir;
    const char *name;
    size_t name_size; /* 0: the root */
} memfs_place;

/* VARVE_MISSING or VARVE_IO (ENOTDIR) when the directory is not there, VARVE_INVALID for a part "..". */
varve_status vr_memfs_find_place(vr_memfs *memfs, const char *path, memfs_place *place, varve_error *err);
/* The node that path names now, or VARVE_MISSING. what is for the message. */
varve_status vr_memfs_find(vr_memfs *memfs, const char *what, const char *path, memfs_node **node, varve_error *err);

#endif
