/*
 * scripts/mock_cluster.c - librdkafka's mock cluster in a process of its own: mock_cluster TOPIC [PARTITIONS]
 *
 * Prints its bootstrap address, and serves until its standard input ends or it is killed. It keeps at
 * most 5 MiB of a partition, fences nobody, and forgets everything when it ends: for a demonstration where no Apache Kafka is to
 * be had, not for a proof.
 */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int serve(rd_kafka_t *rk, const char *topic, int partitions) {
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(rk, 1);
    if (!cluster) {
        fprintf(stderr, "mock_cluster: the cluster did not start\n");
        return 1;
    }
    rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(cluster, topic, partitions, 1);
    if (err) {
        fprintf(stderr, "mock_cluster: topic %s: %s\n", topic, rd_kafka_err2str(err));
    } else {
        char byte;
        printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        fflush(stdout);
        while (read(STDIN_FILENO, &byte, 1) > 0) continue;
    }
    rd_kafka_mock_cluster_destroy(cluster);
    return err ? 1 : 0;
}

int main(int argc, char **argv) {
    char message[256];
    if (argc < 2) {
        fprintf(stderr, "usage: mock_cluster TOPIC [PARTITIONS]\n");
        return 2;
    }
    int partitions = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), message, sizeof message);
    if (!rk) {
        fprintf(stderr, "mock_cluster: %s\n", message);
        return 1;
    }
    int code = serve(rk, argv[1], partitions > 0 ? partitions : 1);
    rd_kafka_destroy(rk);
    return code;
}
