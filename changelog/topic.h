/*
 * changelog/topic.h - creates the topic or checks that it can hold a changelog.
 */
#ifndef VCL_TOPIC_H
#define VCL_TOPIC_H

#include "link.h"

#define VCL_DELETE_RETENTION_MS_DEFAULT 86400000 /* Kafka's own, where the topic's is not known */

/* Asks the broker about the topic; one that does not exist is an answer: info->exists is false. */
varve_status vcl_topic_describe(const vcl_link *link, vcl_topic_info *info, varve_error *err);

/* Creates it as a changelog needs it and describes it. One that another process created meanwhile is as good. */
varve_status vcl_topic_create(const vcl_link *link, vcl_topic_info *info, varve_error *err);

/*
 * Whether an existing topic keeps the newest record of every key for ever and is as the options say. A pure function.
 * Returns: VARVE_INVALID with the setting to change.
 */
varve_status vcl_topic_check(const vcl_config *config, const vcl_topic_info *info, varve_error *err);

/* delete.retention.ms, or the default where it is not known. */
int64_t vcl_topic_delete_retention_ms(const vcl_topic_info *info);

#endif
