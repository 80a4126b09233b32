/*
 * changelog/config.h - varve_changelog_options, checked, with defaults filled in and strings copied. Constant once made; any
 * thread.
 */
#ifndef VCL_CONFIG_H
#define VCL_CONFIG_H

#include <varve/changelog.h>

#include "position.h"

#define VCL_PARTITION_MAX 1000000 /* far above what any cluster has */
#define VCL_COMMIT_INTERVAL_MS_DEFAULT 100u
#define VCL_COMMIT_INTERVAL_MS_MAX 60000u
#define VCL_GROUP_BYTES_DEFAULT (16u << 20)
#define VCL_GROUP_BYTES_MIN 1024u
#define VCL_GROUP_BYTES_MAX (1u << 30)
#define VCL_TIMEOUT_MS_DEFAULT 30000u
#define VCL_TIMEOUT_MS_MAX 3600000u
#define VCL_TRANSACTIONAL_ID_BYTES_MAX 512u

typedef struct vcl_config {
    char topic[VCL_TOPIC_BYTES_MAX + 1];
    char transactional_id[VCL_TRANSACTIONAL_ID_BYTES_MAX + 1];
    char brokers[256]; /* as in messages: cut if longer */
    int32_t partition, partitions, replication;
    bool must_exist;
    uint32_t commit_interval_ms, timeout_ms;
    uint64_t group_bytes_max;
    varve_restore_fn progress;
    void *progress_context;
    varve_diag_fn diag;
    void *diag_context;
} vcl_config;

/* Returns: VARVE_INVALID with the option's name, its unit and its range. */
varve_status vcl_config_make(const varve_changelog_options *options, vcl_config *config, varve_error *err);

#endif
