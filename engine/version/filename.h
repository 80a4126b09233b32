/*
 * version/filename.h - the names of a database's files. Numbers are decimal, zero-padded to ten digits.
 *
 *     LOCK              held by the owner           MANIFEST          versions; replaced by renaming MANIFEST.new
 *     0000000001.wal    WAL segments (wal/)         0000000001.vst    sorted tables
 */
#ifndef VR_VERSION_FILENAME_H
#define VR_VERSION_FILENAME_H

#include "os/fs.h"

#define VR_NAME_LOCK "LOCK"
#define VR_NAME_MANIFEST "MANIFEST"
#define VR_NAME_MANIFEST_NEW "MANIFEST.new"

bool vr_filename_table(char path[VR_PATH_BYTES_MAX], const char *dir, uint64_t number);

/* Reads a table's number out of a file name; false for any other name. */
bool vr_filename_parse_table(const char *name, uint64_t *number);

#endif
