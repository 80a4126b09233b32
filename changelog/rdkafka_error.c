/*
 * rdkafka_error.c - from librdkafka's error codes to ours, and messages that name the brokers.
 */
#include "rdkafka_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

varve_status vcl_rdkafka_set(varve_error *err, varve_status code, uint32_t flags, const char *format, ...) {
    if (err) {
        *err = (varve_error){.code = code, .flags = flags};
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return code;
}

static bool is_retriable(int code) {
    switch (code) {
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__WAIT_CACHE:
    case RD_KAFKA_RESP_ERR__RETRY:
    case RD_KAFKA_RESP_ERR__CONFLICT:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
    case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
    case RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED: return true;
    default: return false;
    }
}

void vcl_rdkafka_classify(int code, varve_status *status, uint32_t *flags) {
    *flags = 0;
    switch (code) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
        *status = VARVE_FENCED;
        *flags = VARVE_ERROR_FATAL | VARVE_ERROR_FENCED;
        return;
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case VCL_RDKAFKA_UNKNOWN_TOPIC_ID:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case VCL_RDKAFKA_LOG_TRUNCATION: *status = VARVE_MISSING; return;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS: *status = VARVE_EXISTS; return;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: *status = VARVE_TOO_LARGE; return;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: *status = VARVE_INVALID; return;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION: *status = VARVE_CORRUPTION; return;
    case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE: *status = VARVE_NOMEM; return;
    default: *status = VARVE_KAFKA; break;
    }
    if (code == RD_KAFKA_RESP_ERR__FATAL) *flags = VARVE_ERROR_FATAL;
    if (is_retriable(code)) *flags = VARVE_ERROR_RETRIABLE;
}

void vcl_rdkafka_note_error(vcl_rdkafka *t, const char *line) {
    const char *thread_end = line[0] == '[' ? strstr(line, "]: ") : NULL;
    if (thread_end) line = thread_end + 3;
    pthread_mutex_lock(&t->error_lock);
    snprintf(t->last_error, sizeof t->last_error, "%s", line);
    pthread_mutex_unlock(&t->error_lock);
}

varve_status vcl_rdkafka_fail(vcl_rdkafka *t, varve_error *err, int code, const char *detail, const char *format, ...) {
    varve_status status;
    uint32_t flags;
    char what[256], trouble[256];
    vcl_rdkafka_classify(code, &status, &flags);
    if (!err) return status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (!detail || !*detail) detail = rd_kafka_err2str((rd_kafka_resp_err_t)code);
    if (!(flags & VARVE_ERROR_RETRIABLE)) return vcl_rdkafka_set(err, status, flags, "%s: %s", what, detail);
    pthread_mutex_lock(&t->error_lock);
    memcpy(trouble, t->last_error, sizeof trouble);
    pthread_mutex_unlock(&t->error_lock);
    return vcl_rdkafka_set(err, status, flags, "%s: %.120s (brokers %.100s%s%.160s)", what, detail, t->brokers,
                           trouble[0] ? "; last connection error: " : "", trouble);
}
