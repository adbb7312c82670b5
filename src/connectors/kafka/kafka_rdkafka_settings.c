/* connectors/kafka/kafka_rdkafka_settings.c: settings into librdkafka's configuration (kafka_rdkafka_int.h).
 *
 * Three layers, later ones win: weir's defaults, the user's settings, and those that the promise of a source or sink
 * rests on, which a user may not set. A value is never repeated in a message when its key looks like that of a secret.
 *
 * A secret KEY may be given as KEY-file or KEY-env (connectors/secret.h). It is read when a client is opened; a check
 * alone reads nothing, and tries the setting with another text.
 *
 * Memory that a consumer holds: each partition has a queue of its own, and is not fetched while its queue holds
 * queued.max.messages.kbytes of records or queued.min.messages of them. One answer of a broker, at most
 * fetch.message.max.bytes of a partition, can go over that. With the defaults below that is 17 MiB of records for each
 * partition that is behind, and about as much again for librdkafka's own 400 bytes per record. */
#include "base/text_distance.h"
#include "connectors/kafka/kafka_rdkafka_int.h"
#include "connectors/secret.h"

#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 128 };

struct row {
  const char *key, *value;
};

static const struct row defaults[] = {
    {"client.id", "weir"},
    {"socket.nagle.disable", "true"},
    {"reconnect.backoff.max.ms", "2000"},
};
static const struct row consumer_defaults[] = {
    {"isolation.level", "read_committed"},
    {"check.crcs", "true"},
    {"fetch.wait.max.ms", "100"},
    {"queued.min.messages", "100000"},
    {"queued.max.messages.kbytes", "16384"},
    {"fetch.error.backoff.ms", "20"},
};
/* Of newer versions of the library only: how long a partition whose queue is full is left alone. In older ones that is
 * fetch.error.backoff.ms, and half a second by default, in which such a queue runs empty many times over. */
static const struct row newer_consumer_defaults[] = {{"fetch.queue.backoff.ms", "20"}};
/* Batches are filled by size while an epoch is written; its end does not wait for them, and no small request waits for
 * the answer to the one before (newer versions of the library do that by themselves). The partitioner is that of Java's
 * clients, so that a key is found where they would put it. */
static const struct row producer_defaults[] = {
    {"partitioner", "murmur2_random"},       {"linger.ms", "50"},
    {"batch.num.messages", "10000"},         {"queue.buffering.max.messages", "200000"},
    {"queue.buffering.max.kbytes", "65536"}, {"socket.nagle.disable", "true"},
};
struct own_row {
  const char *key, *value, *why;
};
#define NO_MEMBER "a source is no member of its group; it only shows offsets there"
/* Weir's own, with the reason that a user is told. */
static const struct own_row own[] = {
    {"bootstrap.servers", NULL, "the servers are given as such"},
    {"metadata.broker.list", NULL, "the servers are given as such"},
    {"allow.auto.create.topics", "false", "a source makes no topic"},
    {"enable.auto.commit", "false", "offsets are shown to the group when a checkpoint has completed"},
    {"enable.auto.offset.store", "false", "offsets are shown to the group when a checkpoint has completed"},
    {"auto.offset.reset", "error", "positions come from the job's checkpoints, and a lost one must not be replaced"},
    {"enable.partition.eof", "true", "the source has to know when it has read all there is"},
    {"session.timeout.ms", NULL, NO_MEMBER},
    {"heartbeat.interval.ms", NULL, NO_MEMBER},
    {"max.poll.interval.ms", NULL, NO_MEMBER},
    {"group.protocol.type", NULL, NO_MEMBER},
    {"group.remote.assignor", NULL, NO_MEMBER},
    {"group.protocol", NULL, NO_MEMBER},
    {"group.instance.id", NULL, NO_MEMBER},
    {"partition.assignment.strategy", NULL, "partitions are dealt out to subtasks by the job"},
    {"topic.blacklist", NULL, "the source reads one topic, which it is given"},
    {"auto.commit.interval.ms", NULL, "offsets are shown to the group when a checkpoint has completed"},
    {"auto.commit.enable", NULL, "offsets are shown to the group when a checkpoint has completed"},
    {"offset.store.method", NULL, "positions are in the job's checkpoints"},
    {"offset.store.path", NULL, "positions are in the job's checkpoints"},
    {"offset.store.sync.interval.ms", NULL, "positions are in the job's checkpoints"},
    {"statistics.interval.ms", NULL, "nobody would take the statistics; the job's metrics have its lag"},
    {"enabled_events", NULL, "weir asks librdkafka for what it needs"},
    {"log.queue", NULL, "librdkafka writes its lines itself; debug says which"},
};

static const struct own_row producer_own[] = {
    {"allow.auto.create.topics", "false", "a sink makes no topic"},
    {"enable.idempotence", "true", "without it a message could be written twice"},
    {"acks", NULL, "a message counts when all replicas that are in sync have it"},
    {"request.required.acks", NULL, "a message counts when all replicas that are in sync have it"},
    {"transactional.id", NULL, "the sink has its own; sink.transactional-id-prefix is its beginning"},
    {"transaction.timeout.ms", NULL, "give the sink's option properties.transaction.timeout.ms"},
    {"delivery.report.only.error", "true", "the sink counts on it"},
};
enum { OWN_COUNT = sizeof own / sizeof own[0], PRODUCER_OWN_COUNT = sizeof producer_own / sizeof producer_own[0] };

static const char *reason_in(const struct own_row *rows, size_t count, const char *key) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(rows[i].key, key) == 0) return rows[i].why;
  return NULL;
}

/* The same settings serve a source and a sink, so what is weir's in one of them is refused in both. */
static const char *own_reason(const char *key) {
  const char *why = reason_in(own, OWN_COUNT, key);
  return why != NULL ? why : reason_in(producer_own, PRODUCER_OWN_COUNT, key);
}

static bool is_secret(const char *key) {
  static const char *const parts[] = {"password", "secret", ".pem", "oauthbearer", "jaas", "token", "credential"};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
    if (strstr(key, parts[i]) != NULL) return true;
  return false;
}

/* The library tells of no secret that is not set. */
static const char *const secrets[] = {"sasl.password", "ssl.key.password", "ssl.keystore.password",
                                      "sasl.oauthbearer.client.secret"};

static void look_at(const char *candidate, const char *key, const char **nearest, uint32_t *best) {
  uint32_t distance = wr_text_distance(key, candidate);
  if (distance >= *best) return;
  *best = distance;
  *nearest = candidate;
}

/* The nearest to `key` of the library's settings; of secrets alone where `is_secret` says so. */
static const char *find_nearest(const char *const *dump, size_t count, const char *key, bool is_secret) {
  const char *nearest = NULL;
  uint32_t best = UINT32_MAX;
  for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
    look_at(secrets[i], key, &nearest, &best);
  for (size_t i = 0; !is_secret && i + 1 < count; i += 2) /* key, value, key, value */
    if (strchr(dump[i], '_') == NULL) /* else it is a pointer to a function, which no text can set */
      look_at(dump[i], key, &nearest, &best);
  return wr_text_is_near(key, best) ? nearest : NULL;
}

/* `key` may end with the -file or -env of a secret. */
static enum weir_code fail_unknown(const struct wr_rdkafka *library, rd_kafka_conf_t *conf, const char *key,
                                   struct weir_error *error) {
  size_t count = 0, length = strlen(key);
  const char **dump = library->conf_dump(conf, &count);
  const char *dash = strrchr(key, '-'), *way = "";
  char base[KEY_BYTES];
  if (dash != NULL && (strcmp(dash, "-file") == 0 || strcmp(dash, "-env") == 0)) {
    way = dash;
    length = (size_t)(dash - key);
  }
  snprintf(base, sizeof base, "%.*s", (int)(length < sizeof base ? length : sizeof base - 1), key);
  const char *nearest = find_nearest(dump, dump == NULL ? 0 : count, base, way[0] != 0);
  if (nearest != NULL)
    WR_FAIL(error, WEIR_INVALID, "librdkafka has no setting \"%.64s\"; did you mean \"%s%s\"?", key, nearest, way);
  else
    WR_FAIL(error, WEIR_INVALID,
            "librdkafka has no setting \"%.64s\"; its settings are listed in CONFIGURATION.md of librdkafka", key);
  if (dump != NULL) library->conf_dump_free(dump, count);
  return WEIR_INVALID;
}

static enum weir_code set(const struct wr_rdkafka *library, rd_kafka_conf_t *conf, const char *key, const char *value,
                          struct weir_error *error) {
  char words[300] = "";
  rd_kafka_conf_res_t result = library->conf_set(conf, key, value, words, sizeof words);
  if (result == RD_KAFKA_CONF_OK) return WEIR_OK;
  if (result == RD_KAFKA_CONF_UNKNOWN) return fail_unknown(library, conf, key, error);
  if (is_secret(key))
    return WR_FAIL(error, WEIR_INVALID, "setting %s: librdkafka does not accept its value, which is not shown here",
                   key);
  return WR_FAIL(error, WEIR_INVALID, "setting %s: %s", key, words);
}

static enum weir_code set_rows(const struct wr_rdkafka *library, rd_kafka_conf_t *conf, const struct row *rows,
                               size_t count, struct weir_error *error) {
  for (size_t i = 0; i < count; i++)
    WR_TRY(set(library, conf, rows[i].key, rows[i].value, error));
  return WEIR_OK;
}

/* No more than one of KEY, KEY-file and KEY-env, where `way` is one of the last two. */
static enum weir_code check_only_way(const struct wr_kafka_connection *connection, const char *way, size_t length,
                                     struct weir_error *error) {
  for (uint32_t i = 0; i < connection->setting_count; i++) {
    const char *key = connection->settings[i].key, *rest = key + length;
    if (strncmp(key, way, length) != 0 || strcmp(key, way) == 0) continue;
    if (*rest == 0 || strcmp(rest, "-file") == 0 || strcmp(rest, "-env") == 0)
      return WR_FAIL(error, WEIR_INVALID, "the settings %s and %s are given both; give one of them", way, key);
  }
  return WEIR_OK;
}

/* A secret from where the setting says that it is. */
static enum weir_code set_secret(const struct wr_rdkafka *library, const struct wr_rdkafka_world *world,
                                 rd_kafka_conf_t *conf, const struct wr_kafka_setting *way, size_t length, bool is_file,
                                 struct weir_error *error) {
  char key[KEY_BYTES], what[KEY_BYTES + 32], secret[WR_SECRET_BYTES_MAX] = "-";
  if (length >= sizeof key) return fail_unknown(library, conf, way->key, error);
  memcpy(key, way->key, length);
  key[length] = 0;
  snprintf(what, sizeof what, "the setting %s", way->key);
  enum weir_code code = way->value[0] == 0 ? WR_FAIL(error, WEIR_INVALID, "%s names none", what) : WEIR_OK;
  if (code == WEIR_OK && world->seams != NULL)
    code = is_file ? wr_secret_of_file(way->value, what, world->seams, world->memory, secret, error)
                   : wr_secret_of_environment(way->value, what, secret, error);
  char words[300] = "";
  rd_kafka_conf_res_t result = RD_KAFKA_CONF_OK;
  if (code == WEIR_OK) result = library->conf_set(conf, key, secret, words, sizeof words);
  wr_secret_forget(secret);
  if (result == RD_KAFKA_CONF_UNKNOWN) return fail_unknown(library, conf, way->key, error);
  if (result != RD_KAFKA_CONF_OK)
    return WR_FAIL(error, WEIR_INVALID, "%s: librdkafka does not accept what is there, which is not shown here", what);
  return code;
}

static enum weir_code set_users(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                const struct wr_rdkafka_world *world, rd_kafka_conf_t *conf, struct weir_error *error) {
  for (uint32_t i = 0; i < connection->setting_count; i++) {
    const struct wr_kafka_setting *setting = &connection->settings[i];
    size_t length = 0;
    bool is_file = false;
    if (strcmp(setting->key, "weir.librdkafka") == 0) continue;
    const char *why = own_reason(setting->key);
    if (why != NULL) return WR_FAIL(error, WEIR_INVALID, "setting %s is not a user's to set: %s", setting->key, why);
    if (wr_secret_is_way(setting->key, &length, &is_file)) {
      WR_TRY(check_only_way(connection, setting->key, length, error));
      WR_TRY(set_secret(library, world, conf, setting, length, is_file, error));
    } else {
      WR_TRY(set(library, conf, setting->key, setting->value, error));
    }
  }
  return WEIR_OK;
}

static enum weir_code set_own(const struct wr_rdkafka *library, const struct own_row *rows, size_t count,
                              rd_kafka_conf_t *conf, struct weir_error *error) {
  for (size_t i = 0; i < count; i++)
    if (rows[i].value != NULL) WR_TRY(set(library, conf, rows[i].key, rows[i].value, error));
  return WEIR_OK;
}

static enum weir_code set_producer(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                   const struct wr_rdkafka_world *world, rd_kafka_conf_t *conf,
                                   struct weir_error *error) {
  WR_TRY(set_rows(library, conf, producer_defaults, sizeof producer_defaults / sizeof producer_defaults[0], error));
  WR_TRY(set_users(library, connection, world, conf, error));
  return set_own(library, producer_own, PRODUCER_OWN_COUNT, conf, error);
}

static enum weir_code set_consumer(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                   enum wr_rdkafka_kind kind, const struct wr_rdkafka_world *world,
                                   rd_kafka_conf_t *conf, struct weir_error *error) {
  WR_TRY(set_rows(library, conf, consumer_defaults, sizeof consumer_defaults / sizeof consumer_defaults[0], error));
  for (size_t i = 0; i < sizeof newer_consumer_defaults / sizeof newer_consumer_defaults[0]; i++)
    (void)library->conf_set(conf, newer_consumer_defaults[i].key, newer_consumer_defaults[i].value, NULL, 0);
  WR_TRY(set(library, conf, "group.id", connection->group, error));
  WR_TRY(set_users(library, connection, world, conf, error));
  WR_TRY(set_own(library, own, OWN_COUNT, conf, error));
  /* There is no membership; of this time is only left how long a commit waits for a group that does not answer, and
   * that closing waits for the commit. */
  WR_TRY(set(library, conf, "session.timeout.ms", "2000", error));
  if (kind == WR_RDKAFKA_MARKER) {
    WR_TRY(set(library, conf, "group.id", connection->group, error));
    WR_TRY(set(library, conf, "isolation.level", "read_committed", error));
  }
  /* The end of a partition is its high watermark for an admin, also below open transactions. */
  if (kind == WR_RDKAFKA_ADMIN) WR_TRY(set(library, conf, "isolation.level", "read_uncommitted", error));
  return WEIR_OK;
}

static enum weir_code set_all(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                              enum wr_rdkafka_kind kind, const struct wr_rdkafka_world *world, rd_kafka_conf_t *conf,
                              struct weir_error *error) {
  WR_TRY(set_rows(library, conf, defaults, sizeof defaults / sizeof defaults[0], error));
  WR_TRY(kind == WR_RDKAFKA_PRODUCER ? set_producer(library, connection, world, conf, error)
                                     : set_consumer(library, connection, kind, world, conf, error));
  return set(library, conf, "bootstrap.servers", connection->servers, error);
}

enum weir_code wr_rdkafka_set(const struct wr_rdkafka *library, rd_kafka_conf_t *conf, const char *key,
                              const char *value, struct weir_error *error) {
  return set(library, conf, key, value, error);
}

enum weir_code wr_rdkafka_configure(const struct wr_rdkafka *library, const struct wr_kafka_connection *connection,
                                    enum wr_rdkafka_kind kind, const struct wr_rdkafka_world *world,
                                    rd_kafka_conf_t **out_conf, struct weir_error *error) {
  rd_kafka_conf_t *conf = library->conf_new();
  if (conf == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for the settings of librdkafka");
  enum weir_code code = set_all(library, connection, kind, world, conf, error);
  if (code != WEIR_OK)
    library->conf_destroy(conf);
  else
    *out_conf = conf;
  return code;
}
