/* connectors/kafka/test_kafka_rdkafka.c: tests of the driver over librdkafka, without a broker: settings, nobody there,
 * and the way of records with librdkafka's own simulated cluster, which lives inside the client that names it.
 *
 * librdkafka starts its threads by C11's thrd_create, which thread sanitizer does not see: a thread that it does not
 * know crashes in its allocator. Under it only the tests without a client run. */
#include "base/test.h"
#include "connectors/kafka/kafka_rdkafka.h"
#include "connectors/kafka/kafka_rdkafka_int.h"
#include "os/park.h"
#include "os/posix_seams.h"
#include "store/test_files.h"

#include <dlfcn.h>
#include <librdkafka/rdkafka_mock.h>

#ifdef __SANITIZE_THREAD__
enum { CLIENTS_RUN = 0 };
#else
enum { CLIENTS_RUN = 1 };
#endif
enum { SECOND_NS = 1000000000 };

static const struct wr_kafka_connection no_settings = {.servers = "127.0.0.1:1", .group = "g", .uid = "views"};

/* ---- settings ---- */

/* Checks one setting; the sentence of the refusal, "" where there is none. */
static const char *check_setting(const char *key, const char *value, struct weir_error *error) {
  struct wr_kafka_setting setting = {.key = key, .value = value};
  struct wr_kafka_connection connection = no_settings;
  connection.settings = &setting;
  connection.setting_count = 1;
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  enum weir_code code = driver->check(driver, &connection, error);
  if (code == WEIR_OK) return "";
  return code == WEIR_INVALID ? error->message : "not INVALID";
}

TEST(settings) {
  struct weir_error error;
  CHECK_STRING(check_setting("fetch.min.bytes", "10", &error), "");
  CHECK_STRING(check_setting("group.id", "mine", &error), "");
  CHECK(strstr(check_setting("fetch.min.byte", "10", &error), "did you mean \"fetch.min.bytes\"?") != NULL);
  CHECK(strstr(check_setting("colour", "red", &error), "no setting \"colour\"; its settings are listed") != NULL);
  const char *sentence = check_setting("isolation.level", "read_all", &error);
  CHECK(strstr(sentence, "isolation.level") != NULL && strstr(sentence, "read_all") != NULL);
  CHECK(strstr(check_setting("auto.offset.reset", "latest", &error), "not a user's to set") != NULL);
  static const char *const own[][2] = {
      {"bootstrap.servers", "x:1"},
      {"enable.auto.commit", "true"},
      {"session.timeout.ms", "10000"},
      {"group.protocol", "consumer"},
      {"group.instance.id", "me"},
      {"partition.assignment.strategy", "range"},
      {"auto.commit.interval.ms", "100"},
      {"offset.store.method", "file"},
      {"statistics.interval.ms", "1000"},
      {"enabled_events", "1"},
      {"log.queue", "true"},
      {"enable.partition.eof", "false"},
      {"acks", "1"},
      {"transactional.id", "mine"},
      {"allow.auto.create.topics", "true"},
      {"topic.blacklist", "a"},
  };
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
    sentence = check_setting(own[i][0], own[i][1], &error);
    if (strstr(sentence, own[i][0]) == NULL || strstr(sentence, "is not a user's to set: ") == NULL)
      TEST_FAIL("setting %s: %s", own[i][0], sentence);
  }
  CHECK_STRING(check_setting("debug", "broker,topic", &error), "");
}

TEST(secrets) {
  struct weir_error error;
  CHECK_STRING(check_setting("sasl.password", "swordfish", &error), "");
  static const char *const keys[] = {"sasl.pasword", "sasl.jaas.config", "ssl.key.pasword"};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const char *sentence = check_setting(keys[i], "swordfish", &error);
    CHECK(strstr(sentence, keys[i]) != NULL && strstr(sentence, "swordfish") == NULL);
  }
  CHECK(strstr(check_setting("sasl.oauthbearer.method", "swordfish", &error), "swordfish") == NULL);
  char words[200];
  wr_rdkafka_copy_words(words, sizeof words, "Unrecognized sasl.oauthbearer.config beginning at:\nswordfish");
  CHECK_STRING(words, "Unrecognized sasl.oauthbearer.config");
}

/* KEY-file and KEY-env: what is there is what librdkafka is given, and no message has it. */
TEST(secrets_that_are_elsewhere) {
  static const struct {
    const char *key, *value, *second_key, *says;
  } cases[] = {
      {"sasl.password-file", NULL, NULL, "swordfish"},
      {"sasl.password-env", "WEIR_TEST_PW", NULL, "swordfish"},
      {"ssl.key.password-file", NULL, NULL, "swordfish"},
      {"ssl.keystore.password-env", "WEIR_TEST_PW", NULL, "swordfish"},
      {"sasl.password-file", "/nowhere/pw", NULL, "setting sasl.password-file"},
      {"sasl.password-env", "WEIR_TEST_NONE", NULL, "no variable WEIR_TEST_NONE, the setting sasl.password-env"},
      {"sasl.password-env", "", NULL, "the setting sasl.password-env names none"},
      {"sasl.password-env", "WEIR_TEST_PW", "sasl.password", "sasl.password-env and sasl.password are given both"},
      {"sasl.password-env", "WEIR_TEST_PW", "sasl.password-file", "are given both"},
      {"sasl.pasword-file", NULL, NULL, "did you mean \"sasl.password-file\"?"},
      {"sasl.passwrd-env", "WEIR_TEST_PW", NULL, "did you mean \"sasl.password-env\"?"},
      {"other.password-env", "WEIR_TEST_PW", NULL, "has no setting \"other.password-env\""}};
  struct test_files files;
  struct wr_rdkafka library;
  char path[128];
  struct weir_error error = {.code = WEIR_OK};
  test_files_init(&files);
  snprintf(path, sizeof path, "%s/pw", files.folder);
  FILE *file = fopen(path, "w");
  CHECK(file != NULL);
  fputs("swordfish\nnot this", file);
  fclose(file);
  setenv("WEIR_TEST_PW", "swordfish", 1);
  CHECK_INT(wr_rdkafka_load(&no_settings, &library, &error), WEIR_OK);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const struct wr_kafka_setting settings[] = {{cases[i].key, cases[i].value == NULL ? path : cases[i].value},
                                                {cases[i].second_key, "other"}};
    struct wr_kafka_connection connection = no_settings;
    const struct wr_rdkafka_world world = {.seams = &files.seams, .memory = &files.memory.memory};
    rd_kafka_conf_t *conf = NULL;
    char found[64] = "", base[64] = "";
    size_t size = sizeof found;
    connection.settings = settings;
    connection.setting_count = cases[i].second_key == NULL ? 1 : 2;
    enum weir_code code = wr_rdkafka_configure(&library, &connection, WR_RDKAFKA_CONSUMER, &world, &conf, &error);
    memcpy(base, cases[i].key, (size_t)(strrchr(cases[i].key, '-') - cases[i].key));
    if (code == WEIR_OK) {
      CHECK(library.conf_get(conf, base, found, &size) == RD_KAFKA_CONF_OK);
      library.conf_destroy(conf);
    }
    if (strstr(code == WEIR_OK ? found : error.message, cases[i].says) == NULL)
      TEST_FAIL("%s: \"%s\" does not say \"%s\"", cases[i].key, code == WEIR_OK ? found : error.message, cases[i].says);
    CHECK(code == WEIR_OK || strstr(error.message, "swordfish") == NULL);
  }
  CHECK_INT(files.memory.living_count, 0);
  test_files_deinit(&files);
  /* A check reads nothing. */
  CHECK_STRING(check_setting("sasl.password-file", "/nowhere/pw", &error), "");
  CHECK(strstr(check_setting("sasl.pasword-file", "/nowhere/pw", &error), "did you mean") != NULL);
}

TEST(library_missing) {
  struct weir_error error;
  CHECK(strstr(check_setting("weir.librdkafka", "/nowhere/librdkafka.so", &error), "/nowhere/librdkafka.so") != NULL);
  CHECK(strstr(check_setting("weir.librdkafka", "libm.so.6", &error), "has no function rd_kafka_") != NULL);
  CHECK_STRING(check_setting("weir.librdkafka", "librdkafka.so.1", &error), "");
}

TEST(troubles) {
  static const struct {
    rd_kafka_resp_err_t code;
    const char *reason;
    enum wr_kafka_answer answer;
  } cases[] = {
      {RD_KAFKA_RESP_ERR__TRANSPORT, "Connect to 127.0.0.1:1 failed: Connection refused", WR_KAFKA_FINE},
      {RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL authentication error: Invalid username", WR_KAFKA_NOT_ALLOWED},
      {RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL authentication error: Disconnected", WR_KAFKA_FINE},
      {RD_KAFKA_RESP_ERR__SSL, "SSL handshake failed: certificate verify failed", WR_KAFKA_NOT_ALLOWED},
      {RD_KAFKA_RESP_ERR__SSL, "SSL handshake failed: unexpected eof while reading", WR_KAFKA_FINE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    CHECK_INT(wr_rdkafka_trouble_of(cases[i].code, cases[i].reason), cases[i].answer);
  struct wr_rdkafka_trouble trouble = {.told = true};
  wr_rdkafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, "Connection refused", "");
  wr_rdkafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, "1/1 brokers are down", "");
  CHECK_STRING(trouble.reason, "Connection refused");
  CHECK(!trouble.told);
}

/* Only where the library is older, the way SCRAM, and the login refused. */
TEST(scram_by_an_old_library) {
  static const struct {
    int version;
    const char *mechanism;
    bool remarked;
  } cases[] = {{0x020002ff, "SCRAM-SHA-256", true},  {0x020600ff, "SCRAM-SHA-512", true},
               {0x020601ff, "SCRAM-SHA-256", false}, {0x021000ff, "SCRAM-SHA-256", false},
               {0x020002ff, "PLAIN", false},         {0x020002ff, "", false}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char remark[160] = "?";
    wr_rdkafka_login_remark(cases[i].version, "2.0.2", cases[i].mechanism, remark, sizeof remark);
    CHECK_INT(remark[0] != 0, cases[i].remarked);
    if (!cases[i].remarked) continue;
    CHECK(strstr(remark, "librdkafka 2.0.2 cannot") != NULL && strstr(remark, "weir.librdkafka=FILE") != NULL);
    CHECK(strlen(remark) < sizeof remark - 1);
    struct wr_rdkafka_trouble trouble = {.told = true};
    wr_rdkafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__TRANSPORT, "Connection refused", remark);
    CHECK_STRING(trouble.reason, "Connection refused");
    wr_rdkafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL: Disconnected", remark);
    CHECK_STRING(trouble.reason, "SASL: Disconnected");
    wr_rdkafka_trouble_note(&trouble, RD_KAFKA_RESP_ERR__AUTHENTICATION, "Invalid credentials", remark);
    CHECK(strncmp(trouble.reason, remark, strlen(remark)) == 0 &&
          strstr(trouble.reason, ": Invalid credentials") != NULL);
  }
}

/* ---- nobody there ---- */

struct fixture {
  struct wr_posix_seams posix;
  struct wr_parker parker;
};

static void set_up(struct fixture *fixture) {
  struct weir_error error;
  WR_ASSERT(wr_posix_seams_init(&fixture->posix, 0, WR_LOG_ERROR, &error) == WEIR_OK);
  wr_parker_init(&fixture->parker);
}

TEST(admin_alone) {
  if (!CLIENTS_RUN) return;
  struct fixture fixture;
  set_up(&fixture);
  struct wr_seams *seams = &fixture.posix.seams;
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_admin *admin = NULL;
  CHECK_INT(driver->open_admin(driver, &no_settings, seams, seams->memory, &admin, &error), WEIR_OK);
  struct wr_kafka_topic topic;
  enum weir_code code = admin->vtable->look(admin, "views", 300, seams->memory, &topic, &error);
  CHECK(weir_code_is_transient(code));
  CHECK(strstr(error.message, "kafka 127.0.0.1:1: no broker answers: ") != NULL);
  CHECK(strstr(error.message, "Connection refused") != NULL);
  admin->vtable->close(admin);
  wr_posix_seams_deinit(&fixture.posix);
}

TEST(consumer_alone) {
  if (!CLIENTS_RUN) return;
  struct fixture fixture;
  set_up(&fixture);
  struct wr_seams *seams = &fixture.posix.seams;
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_consumer *consumer = NULL;
  CHECK_INT(driver->open_consumer(driver, &no_settings, "views", seams, seams->memory, &fixture.parker.waker, &consumer,
                                  &error),
            WEIR_OK);
  CHECK_INT(consumer->vtable->assign(consumer, 2, 5, &error), WEIR_OK);
  CHECK_INT(consumer->vtable->assign(consumer, 2, 7, &error), WEIR_OK); /* anew */
  consumer->vtable->commit(consumer, &(struct wr_kafka_place){.partition = 2, .offset = 5}, 1);
  enum wr_kafka_answer answer = WR_KAFKA_NO_TOPIC;
  char sentence[300] = "";
  for (int i = 0; i < 100 && !consumer->vtable->trouble(consumer, &answer, sentence, sizeof sentence); i++)
    wr_parker_wait(&fixture.parker, SECOND_NS);
  CHECK_INT(answer, WR_KAFKA_FINE);
  CHECK(strstr(sentence, "kafka 127.0.0.1:1: ") == sentence && strstr(sentence, "Connection refused") != NULL);
  struct wr_kafka_fetch fetch;
  CHECK(!consumer->vtable->take(consumer, 2, 10, &fetch) && !consumer->vtable->take(consumer, 9, 10, &fetch));
  consumer->vtable->unassign(consumer, 2);
  consumer->vtable->close(consumer);
  wr_posix_seams_deinit(&fixture.posix);
}

/* ---- a simulated cluster ---- */

/* Takes until `wanted` records have come, or the end: sums them up in *out_last. */
static uint64_t take_all(struct fixture *fixture, struct wr_kafka_consumer *consumer, uint32_t limit, int64_t first,
                         int64_t *out_end) {
  uint64_t count = 0;
  struct wr_kafka_fetch fetch;
  for (*out_end = -1; *out_end < 0;) {
    if (!consumer->vtable->take(consumer, 0, limit, &fetch)) {
      if (!wr_parker_wait(&fixture->parker, 30ull * SECOND_NS)) return UINT64_MAX;
      continue;
    }
    for (uint32_t i = 0; i < fetch.count; i++, count++) {
      char value[32];
      int length = snprintf(value, sizeof value, "record %" PRId64, first + (int64_t)count);
      bool right = fetch.records[i].offset == first + (int64_t)count &&
                   fetch.records[i].value_length == (size_t)length &&
                   memcmp(fetch.records[i].value, value, (size_t)length) == 0;
      if (!right || fetch.answer != WR_KAFKA_FINE) return UINT64_MAX;
    }
    if (fetch.at_end) *out_end = fetch.end;
    consumer->vtable->release(consumer);
  }
  return count;
}

/* A producer that carries the cluster, and the functions that only this test uses. */
struct cluster {
  struct wr_rdkafka library;
  __typeof__(&rd_kafka_handle_mock_cluster) of_handle;
  __typeof__(&rd_kafka_mock_cluster_bootstraps) bootstraps;
  __typeof__(&rd_kafka_mock_topic_create) topic_create;
  __typeof__(&rd_kafka_produce) produce;
  __typeof__(&rd_kafka_flush) flush;
  rd_kafka_t *producer;
  rd_kafka_topic_t *topic;
};

static void load(void *opened, const char *name, void *out_function) {
  void *found = dlsym(opened, name);
  WR_ASSERT(found != NULL);
  memcpy(out_function, &found, sizeof found);
}

static struct wr_kafka_connection cluster_start(struct cluster *cluster, int partitions) {
  struct weir_error error;
  WR_ASSERT(wr_rdkafka_load(&no_settings, &cluster->library, &error) == WEIR_OK);
  void *opened = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
  load(opened, "rd_kafka_handle_mock_cluster", &cluster->of_handle);
  load(opened, "rd_kafka_mock_cluster_bootstraps", &cluster->bootstraps);
  load(opened, "rd_kafka_mock_topic_create", &cluster->topic_create);
  load(opened, "rd_kafka_produce", &cluster->produce);
  load(opened, "rd_kafka_flush", &cluster->flush);
  dlclose(opened);
  rd_kafka_conf_t *conf = cluster->library.conf_new();
  char words[200];
  WR_ASSERT(cluster->library.conf_set(conf, "test.mock.num.brokers", "1", words, sizeof words) == RD_KAFKA_CONF_OK);
  cluster->library.conf_set_log_cb(conf, NULL);
  cluster->producer = cluster->library.new(RD_KAFKA_PRODUCER, conf, words, sizeof words);
  WR_ASSERT(cluster->producer != NULL);
  rd_kafka_mock_cluster_t *mock = cluster->of_handle(cluster->producer);
  WR_ASSERT(cluster->topic_create(mock, "views", partitions, 1) == RD_KAFKA_RESP_ERR_NO_ERROR);
  cluster->topic = cluster->library.topic_new(cluster->producer, "views", NULL);
  struct wr_kafka_connection connection = no_settings;
  connection.servers = cluster->bootstraps(mock);
  return connection;
}

static void cluster_produce(struct cluster *cluster, int32_t partition, int first, int count) {
  for (int i = first; i < first + count; i++) {
    char value[32];
    int length = snprintf(value, sizeof value, "record %d", i);
    WR_ASSERT(cluster->produce(cluster->topic, partition, RD_KAFKA_MSG_F_COPY, value, (size_t)length, NULL, 0, NULL) ==
              0);
  }
  WR_ASSERT(cluster->flush(cluster->producer, 30000) == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void cluster_stop(struct cluster *cluster) {
  cluster->library.topic_destroy(cluster->topic);
  cluster->library.destroy_flags(cluster->producer, 0);
}

TEST(ranges) {
  if (!CLIENTS_RUN) return;
  struct fixture fixture;
  set_up(&fixture);
  struct wr_seams *seams = &fixture.posix.seams;
  struct cluster cluster;
  struct wr_kafka_connection connection = cluster_start(&cluster, 3);
  cluster_produce(&cluster, 1, 0, 40);
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_admin *admin = NULL;
  CHECK_INT(driver->open_admin(driver, &connection, seams, seams->memory, &admin, &error), WEIR_OK);
  struct wr_kafka_topic topic;
  enum weir_code code = admin->vtable->look(admin, "views", 30000, seams->memory, &topic, &error);
  if (code != WEIR_OK) TEST_FAIL("%s", error.message);
  CHECK_INT(topic.answer, WR_KAFKA_FINE);
  CHECK_INT(topic.partition_count, 3);
  CHECK(topic.cluster[0] != 0);
  for (uint32_t i = 0; i < 3; i++) {
    CHECK(topic.partitions[i].has_leader && topic.partitions[i].partition == (int32_t)i);
    CHECK_INT(topic.partitions[i].low, 0);
    CHECK_INT(topic.partitions[i].high, i == 1 ? 40 : 0);
  }
  wr_kafka_topic_deinit(&topic, seams->memory);
  admin->vtable->close(admin);
  cluster_stop(&cluster);
  wr_posix_seams_deinit(&fixture.posix);
}

TEST(records) {
  if (!CLIENTS_RUN) return;
  struct fixture fixture;
  set_up(&fixture);
  struct wr_seams *seams = &fixture.posix.seams;
  struct cluster cluster;
  struct wr_kafka_connection connection = cluster_start(&cluster, 1);
  cluster_produce(&cluster, 0, 0, 5000);
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_consumer *consumer = NULL;
  CHECK_INT(driver->open_consumer(driver, &connection, "views", seams, seams->memory, &fixture.parker.waker, &consumer,
                                  &error),
            WEIR_OK);
  int64_t end;
  CHECK_INT(consumer->vtable->assign(consumer, 0, 0, &error), WEIR_OK);
  CHECK_INT(take_all(&fixture, consumer, 100, 0, &end), 5000);
  CHECK_INT(end, 5000);
  /* Anew, with records of the old assignment still waiting. */
  CHECK_INT(consumer->vtable->assign(consumer, 0, 1000, &error), WEIR_OK);
  struct wr_kafka_fetch fetch;
  while (!consumer->vtable->take(consumer, 0, 1, &fetch))
    CHECK(wr_parker_wait(&fixture.parker, 30ull * SECOND_NS));
  CHECK_INT(fetch.records[0].offset, 1000);
  CHECK_INT(fetch.high, 5000);
  consumer->vtable->release(consumer);
  CHECK_INT(consumer->vtable->assign(consumer, 0, 4000, &error), WEIR_OK);
  CHECK_INT(take_all(&fixture, consumer, 5000, 4000, &end), 1000);
  /* What comes later is announced. */
  cluster_produce(&cluster, 0, 5000, 10);
  CHECK_INT(take_all(&fixture, consumer, 5000, 5000, &end), 10);
  CHECK_INT(end, 5010);
  consumer->vtable->commit(consumer, &(struct wr_kafka_place){.partition = 0, .offset = 5010}, 1);
  struct wr_kafka_committed committed;
  while (!consumer->vtable->committed(consumer, &committed))
    CHECK(wr_parker_wait(&fixture.parker, 30ull * SECOND_NS));
  CHECK_INT(committed.succeeded, 1);
  consumer->vtable->close(consumer);
  cluster_stop(&cluster);
  wr_posix_seams_deinit(&fixture.posix);
}

/* What a new consumer is told of partition 1 of a topic with one; false: nothing, for it had heard of the topic before
 * it wanted the partition. */
static bool is_told(struct fixture *fixture, const struct wr_kafka_connection *connection) {
  struct wr_seams *seams = &fixture->posix.seams;
  const struct wr_kafka_driver *driver = wr_kafka_rdkafka();
  struct weir_error error;
  struct wr_kafka_consumer *consumer = NULL;
  struct wr_kafka_fetch fetch;
  bool told = false, waiting = true;
  WR_ASSERT(driver->open_consumer(driver, connection, "views", seams, seams->memory, &fixture->parker.waker, &consumer,
                                  &error) == WEIR_OK);
  WR_ASSERT(consumer->vtable->assign(consumer, 1, 0, &error) == WEIR_OK);
  while (!told && waiting) {
    told = consumer->vtable->take(consumer, 1, 10, &fetch);
    waiting = told || wr_parker_wait(&fixture->parker, 5ull * SECOND_NS);
  }
  if (told) {
    WR_ASSERT(fetch.answer == WR_KAFKA_NO_PARTITION && fetch.count == 0 && fetch.reason[0] != 0);
    consumer->vtable->release(consumer);
    WR_ASSERT(!consumer->vtable->take(consumer, 1, 10, &fetch)); /* until it is assigned again */
  }
  consumer->vtable->close(consumer);
  return told;
}

/* On a busy machine a consumer can hear of the topic while it is about to want the partition; many do not. */
TEST(no_such_partition) {
  enum { TRIES = 6 };
  if (!CLIENTS_RUN) return;
  struct fixture fixture;
  set_up(&fixture);
  struct cluster cluster;
  struct wr_kafka_connection connection = cluster_start(&cluster, 1);
  bool told = false;
  for (int i = 0; i < TRIES && !told; i++)
    told = is_told(&fixture, &connection);
  CHECK(told);
  cluster_stop(&cluster);
  wr_posix_seams_deinit(&fixture.posix);
}

TEST_MAIN(TEST_CASE(settings), TEST_CASE(secrets), TEST_CASE(secrets_that_are_elsewhere), TEST_CASE(library_missing),
          TEST_CASE(troubles), TEST_CASE(scram_by_an_old_library), TEST_CASE(admin_alone), TEST_CASE(consumer_alone),
          TEST_CASE(ranges), TEST_CASE(records), TEST_CASE(no_such_partition))
