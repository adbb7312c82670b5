/* connectors/kafka/test_kafka_target.c: the sink's commit machine against a cluster of a table in memory that fails on
 * command: each call refused or done without an answer, commits that happened, did not, or happen at the next fence;
 * and what rows become as messages. */
#include "base/test.h"
#include "connectors/kafka/kafka_target.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"k", WEIR_TYPE_STRING, true}, {"v", WEIR_TYPE_BIGINT, true}},
    .field_count = 2};
static const uint32_t first_field[] = {0}, both_fields[] = {0, 1};

enum { LOG_BYTES = 64 * 1024, ROWS = 20 };

/* What becomes of call number `fail_at`. */
enum fault {
  REFUSED,   /* not done; a commit: ABORTED */
  NO_ANSWER, /* done, but that is not known; a commit: OPEN */
  NOT_YET,   /* as REFUSED; a commit: OPEN, and it has not happened */
  LATE,      /* as REFUSED; a commit: OPEN, and it happens at the next fence */
  SHUT_OUT,  /* FENCED */
  FAULT_COUNT
};

struct cluster {
  char log[LOG_BYTES]; /* "key=value;" of what is committed; "key-;" a tombstone */
  struct wr_kafka_group_marker marker;
  uint64_t epoch; /* of the transactional id */
  /* The same of the id and group that an earlier version would have. */
  struct wr_kafka_group_marker older_marker;
  uint64_t older_epoch;
  bool denies_exact, denies_older;
  char late[LOG_BYTES];
  struct wr_kafka_group_marker late_marker;
  bool has_late, late_is_older;
  uint32_t calls, fail_at, fail_count, opens, living;
  enum fault fault;
  int64_t bad; /* a message that is refused, counted from the transaction's first; -1: none */
  enum wr_kafka_answer topic;
  uint32_t waits;
  struct test_files *files;
};

struct fake_producer {
  struct wr_kafka_producer producer;
  struct cluster *cluster;
  struct wr_memory *memory;
  bool is_older;
  uint64_t epoch; /* 0: not fenced in */
  bool is_begun;
  int64_t count;
  char open[LOG_BYTES];
};

struct fake_driver {
  struct wr_kafka_producer_driver driver;
  struct cluster *cluster;
};

static struct fake_producer *of(struct wr_kafka_producer *producer) {
  return (struct fake_producer *)producer;
}

static bool fails(struct cluster *cluster) {
  uint32_t call = ++cluster->calls;
  return cluster->fail_at != 0 && call >= cluster->fail_at && call - cluster->fail_at < cluster->fail_count;
}

static enum weir_code fail(const struct cluster *cluster, struct weir_error *error) {
  return WR_FAIL(error, cluster->fault == SHUT_OUT ? WEIR_FENCED : WEIR_TIMEOUT, "made to fail");
}

/* A call that changes nothing outside, and fails as the script says. */
#define FAIL_IF(cluster, error)                                                                                        \
  do {                                                                                                                 \
    if (fails(cluster)) return fail(cluster, error);                                                                   \
  } while (0)

static void append(char *log, const char *text) {
  size_t at = strlen(log), length = strlen(text);
  WR_ASSERT(at + length < LOG_BYTES);
  memcpy(log + at, text, length + 1);
}

static enum weir_code fake_look(struct wr_kafka_producer *producer, uint32_t timeout_ms,
                                struct wr_kafka_target_topic *out_topic, struct weir_error *error) {
  (void)timeout_ms;
  if (fails(of(producer)->cluster)) return WR_FAIL(error, WEIR_TIMEOUT, "made to fail");
  *out_topic = (struct wr_kafka_target_topic){
      .answer = of(producer)->cluster->topic, .reason = "no rights", .partition_count = 1, .message_bytes_max = -1};
  return WEIR_OK;
}

static enum weir_code fake_fence(struct wr_kafka_producer *producer, uint32_t timeout_ms, struct weir_error *error) {
  struct cluster *cluster = of(producer)->cluster;
  (void)timeout_ms;
  bool failed = fails(cluster);
  WR_ASSERT(of(producer)->epoch == 0);
  if (failed && cluster->fault != NO_ANSWER) return fail(cluster, error);
  bool is_older = of(producer)->is_older;
  if (is_older ? cluster->denies_older : cluster->denies_exact)
    return WR_FAIL(error, WEIR_DENIED, "no right to the id");
  if (cluster->has_late && cluster->late_is_older == is_older) {
    append(cluster->log, cluster->late);
    *(is_older ? &cluster->older_marker : &cluster->marker) = cluster->late_marker;
    cluster->has_late = false;
  }
  of(producer)->epoch = is_older ? ++cluster->older_epoch : ++cluster->epoch;
  return failed ? fail(cluster, error) : WEIR_OK;
}

static enum weir_code fake_read(struct wr_kafka_producer *producer, uint32_t timeout_ms,
                                struct wr_kafka_group_marker *out_marker, struct weir_error *error) {
  struct cluster *cluster = of(producer)->cluster;
  (void)timeout_ms;
  WR_ASSERT(of(producer)->epoch != 0);
  FAIL_IF(cluster, error);
  *out_marker = of(producer)->is_older ? cluster->older_marker : cluster->marker;
  return WEIR_OK;
}

static enum weir_code fake_begin(struct wr_kafka_producer *producer, struct weir_error *error) {
  FAIL_IF(of(producer)->cluster, error);
  WR_ASSERT(of(producer)->epoch != 0 && !of(producer)->is_begun);
  of(producer)->is_begun = true;
  of(producer)->open[0] = 0;
  of(producer)->count = 0;
  return WEIR_OK;
}

static enum weir_code fake_write(struct wr_kafka_producer *producer, const struct wr_kafka_message *messages,
                                 uint32_t count, uint32_t *out_bad, struct weir_error *error) {
  struct fake_producer *self = of(producer);
  FAIL_IF(self->cluster, error);
  WR_ASSERT(self->is_begun);
  for (uint32_t i = 0; i < count; i++) {
    const struct wr_kafka_message *message = &messages[i];
    if (self->count++ == self->cluster->bad) {
      *out_bad = i;
      return WR_FAIL(error, WEIR_CONSTRAINT, "too large");
    }
    size_t length = strlen(self->open);
    snprintf(self->open + length, sizeof self->open - length, "%.*s%s%.*s;", (int)message->key_length,
             message->key == NULL ? "" : (const char *)message->key, message->value == NULL ? "-" : "=",
             (int)message->value_length, message->value == NULL ? "" : (const char *)message->value);
  }
  return WEIR_OK;
}

static enum weir_code fake_commit(struct wr_kafka_producer *producer, const struct wr_kafka_group_marker *marker,
                                  uint32_t timeout_ms, enum wr_kafka_outcome *out_outcome, struct weir_error *error) {
  struct fake_producer *self = of(producer);
  struct cluster *cluster = self->cluster;
  (void)timeout_ms;
  bool failed = fails(cluster), happens = !failed || cluster->fault == NO_ANSWER;
  WR_ASSERT(self->is_begun);
  self->is_begun = false;
  *out_outcome = !failed ? WR_KAFKA_DONE : cluster->fault == REFUSED ? WR_KAFKA_ABORTED : WR_KAFKA_OPEN;
  if (self->epoch != (self->is_older ? cluster->older_epoch : cluster->epoch)) {
    *out_outcome = WR_KAFKA_OPEN;
    return WR_FAIL(error, WEIR_FENCED, "there is a newer producer");
  }
  if (happens) {
    append(cluster->log, self->open);
    *(self->is_older ? &cluster->older_marker : &cluster->marker) = *marker;
  }
  if (failed && cluster->fault == LATE) {
    memcpy(cluster->late, self->open, sizeof cluster->late);
    cluster->late_marker = *marker;
    cluster->has_late = true;
    cluster->late_is_older = self->is_older;
  }
  return failed ? fail(cluster, error) : WEIR_OK;
}

static void fake_abort(struct wr_kafka_producer *producer, uint32_t timeout_ms) {
  (void)timeout_ms;
  of(producer)->is_begun = false;
}
static void fake_wait(struct wr_kafka_producer *producer, uint32_t wait_ms) {
  of(producer)->cluster->waits++;
  of(producer)->cluster->files->now_ns += wait_ms * 1000000ull;
}
static void fake_close(struct wr_kafka_producer *producer) {
  of(producer)->cluster->living--;
  wr_free(of(producer)->memory, producer);
}
static const struct wr_kafka_producer_vtable fake_vtable = {.look = fake_look,
                                                            .fence = fake_fence,
                                                            .read_marker = fake_read,
                                                            .begin = fake_begin,
                                                            .write = fake_write,
                                                            .commit = fake_commit,
                                                            .abort = fake_abort,
                                                            .wait = fake_wait,
                                                            .close = fake_close};

static enum weir_code fake_check(const struct wr_kafka_producer_driver *driver,
                                 const struct wr_kafka_producer_options *options, struct weir_error *error) {
  (void)driver;
  return options->connection.setting_count == 0 ? WEIR_OK : WR_FAIL(error, WEIR_INVALID, "a bad setting");
}

static enum weir_code fake_open(const struct wr_kafka_producer_driver *driver,
                                const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                struct weir_error *error) {
  struct cluster *cluster = ((const struct fake_driver *)driver)->cluster;
  (void)seams;
  const char *id = options->transactional_id;
  bool is_older = strcmp(id, "weir-a-b-c") == 0;
  WR_ASSERT(is_older || strcmp(id, "weir-job-sink") == 0 || strcmp(id, "weir:a-b:c") == 0);
  WR_ASSERT(strcmp(options->marker_group, id) == 0 && options->transaction_timeout_ms == 60000);
  cluster->opens++;
  if (fails(cluster)) return WR_FAIL(error, WEIR_IO, "made to fail");
  struct fake_producer *producer = wr_alloc_zeroed(memory, 1, sizeof *producer, WR_MEMORY_SINK);
  if (producer == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a producer");
  *producer =
      (struct fake_producer){.producer = {&fake_vtable}, .cluster = cluster, .memory = memory, .is_older = is_older};
  *out_producer = &producer->producer;
  cluster->living++;
  return WEIR_OK;
}

/* ---- a target with all that it stands on ---- */

struct fixture {
  struct test_files files;
  struct cluster cluster;
  struct fake_driver driver;
  struct wr_store store;
  struct wr_kafka_sink_config config;
  struct wr_target_context context;
  struct wr_target *target;
  struct weir_error error;
};

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->cluster.bad = -1;
  f->cluster.files = &f->files;
  f->driver = (struct fake_driver){.driver = {.check = fake_check, .open = fake_open}, .cluster = &f->cluster};
  f->store = (struct wr_store){.seams = &f->files.seams, .folder = f->files.folder, .start_number = 3};
  memset(f->store.incarnation, 0x7a, sizeof f->store.incarnation);
  f->config = (struct wr_kafka_sink_config){.driver = &f->driver.driver,
                                            .connection = {.servers = "a:9092"},
                                            .topic = "out",
                                            .key_fields = first_field,
                                            .key_count = 1,
                                            .is_upsert = true};
  f->context = (struct wr_target_context){.seams = &f->files.seams,
                                          .memory = &f->files.memory.memory,
                                          .store = &f->store,
                                          .job_name = "job",
                                          .uid = "sink",
                                          .schema = &schema};
}

static void fixture_stop(struct fixture *f) {
  if (f->target == NULL) return;
  f->target->vtable->close(f->target);
  f->target->vtable->free(f->target);
  f->target = NULL;
}

static void fixture_deinit(struct fixture *f) {
  fixture_stop(f);
  WR_ASSERT(f->cluster.living == 0 && f->files.memory.living_count == 0);
  test_files_deinit(&f->files);
}

/* As recovery does. */
static enum weir_code fixture_start(struct fixture *f) {
  struct wr_marker seen;
  fixture_stop(f);
  WR_TRY(wr_kafka_target_new(&f->config, &f->context, &f->target, &f->error));
  WR_TRY(f->target->vtable->connect(f->target, &f->error));
  WR_TRY(f->target->vtable->read_marker(f->target, &seen, &f->error));
  return f->target->vtable->claim(f->target, &seen, seen.present ? seen.checkpoint_id : 0, &f->error);
}

static void put_row(struct wr_batch_builder *builder, enum weir_row_kind kind, const char *key, int64_t value) {
  WR_ASSERT(wr_batch_builder_begin(builder, NULL) == WEIR_OK);
  if (key == NULL)
    WR_ASSERT(wr_batch_builder_set_null(builder, 0, NULL) == WEIR_OK);
  else
    WR_ASSERT(wr_batch_builder_set_bytes(builder, 0, key, strlen(key), NULL) == WEIR_OK);
  if (value < 0)
    WR_ASSERT(wr_batch_builder_set_null(builder, 1, NULL) == WEIR_OK);
  else
    wr_batch_builder_set_bigint(builder, 1, value);
  wr_batch_builder_end_row(builder, kind);
}

static enum weir_code commit_batch(struct fixture *f, uint64_t id, struct wr_batch_builder *builder,
                                   bool *out_already) {
  struct wr_memory *memory = &f->files.below_memory.memory;
  struct wr_batch *batch = wr_batch_builder_take(builder);
  wr_batch_builder_deinit(builder);
  struct wr_epoch epoch = test_epoch_of(memory, id, batch);
  wr_batch_unref(batch);
  enum weir_code code = f->target->vtable->commit(f->target, &epoch, out_already, &f->error);
  test_epoch_deinit(memory, &epoch);
  return code;
}

/* Epoch `id`: each key gets id, the key "0" is deleted by even ones. */
static enum weir_code commit_epoch(struct fixture *f, uint64_t id, bool *out_already) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f->files.below_memory.memory, &schema, true);
  for (int i = 0; i < ROWS; i++) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    put_row(&builder, i == 0 && id % 2 == 0 && f->config.is_upsert ? WEIR_DELETE : WEIR_INSERT, key, (int64_t)id);
  }
  return commit_batch(f, id, &builder, out_already);
}

/* As the committer does. */
static enum weir_code commit_until_done(struct fixture *f, uint64_t id) {
  bool already = false;
  enum weir_code code = WEIR_OK;
  for (int i = 0; i < 8; i++) {
    code = commit_epoch(f, id, &already);
    while (code != WEIR_OK && i++ < 8 && weir_code_is_transient(code)) {
      f->target->vtable->close(f->target);
      code = f->target->vtable->connect(f->target, &f->error);
      if (code == WEIR_OK) code = commit_epoch(f, id, &already);
    }
    if (code == WEIR_OK || !weir_code_is_transient(code)) return code;
  }
  return code;
}

static void expect_epoch(char *text, size_t size, uint64_t id, bool upsert) {
  for (int i = 0; i < ROWS; i++) {
    size_t length = strlen(text);
    if (i == 0 && id % 2 == 0 && upsert)
      snprintf(text + length, size - length, "0-;");
    else
      snprintf(text + length, size - length, "%d={\"k\":\"%d\",\"v\":%d};", i, i, (int)id);
  }
}

/* ---- tests ---- */

/* Each call of a whole life fails in each way, once and twice: at the end every epoch is in once, in order. */
TEST(every_call_fails) {
  uint32_t calls = 0;
  for (int fault = REFUSED; fault < FAULT_COUNT; fault++)
    for (uint32_t times = 1; times <= 2; times++)
      for (uint32_t at = 1; at < 24; at++) {
        static struct fixture f;
        static char expected[LOG_BYTES];
        fixture_init(&f);
        f.config.is_upsert = at % 2 == 0;
        f.cluster.fault = (enum fault)fault;
        f.cluster.fail_at = at;
        f.cluster.fail_count = times;
        int starts = 0;
        while (fixture_start(&f) != WEIR_OK && ++starts < 6) {
          CHECK(weir_code_is_transient(f.error.code) || f.error.code == WEIR_FENCED);
          f.store.start_number++;
        }
        CHECK_INT(commit_until_done(&f, 1), WEIR_OK);
        CHECK_INT(commit_until_done(&f, 2), WEIR_OK);
        enum weir_code code = WEIR_IO;
        for (int i = 0; i < 3 && code != WEIR_OK; i++)
          code = f.target->vtable->refresh(f.target, &f.error);
        CHECK_INT(code, WEIR_OK);
        expected[0] = 0;
        expect_epoch(expected, sizeof expected, 1, f.config.is_upsert);
        expect_epoch(expected, sizeof expected, 2, f.config.is_upsert);
        CHECK_STRING(f.cluster.log, expected);
        CHECK_INT(f.cluster.marker.offset, 2);
        calls = f.cluster.calls > calls ? f.cluster.calls : calls;
        fixture_deinit(&f);
      }
  CHECK(calls >= 14);
}

/* The marker's text, and what is read back of it. */
TEST(markers) {
  static struct fixture f;
  fixture_init(&f);
  bool already = false;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 5, &already), WEIR_OK);
  CHECK(!already && f.cluster.marker.present);
  CHECK_INT(f.cluster.marker.offset, 5);
  CHECK(strncmp(f.cluster.marker.metadata, "weir 1 7a7a7a7a", 15) == 0);
  CHECK(strstr(f.cluster.marker.metadata, "7a 3") != NULL);
  struct wr_marker seen;
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK(seen.present && seen.checkpoint_id == 5 && seen.start_number == 3);
  CHECK(memcmp(seen.incarnation, f.store.incarnation, WR_INCARNATION_BYTES) == 0);
  const struct wr_kafka_group_marker good = f.cluster.marker;
  static const char *const bad[] = {"", "weir", "weir 1", "weir 1 ", "weir 2 7a7a", "weir 1 7a7a 3", "other"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    snprintf(f.cluster.marker.metadata, sizeof f.cluster.marker.metadata, "%s", bad[i]);
    CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_CONSTRAINT);
    CHECK(strstr(f.error.message, "the committed offset of group weir-job-sink (offset 5") != NULL);
  }
  static const char *const tails[] = {"x", " ", "99999999999999999999"};
  for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
    f.cluster.marker = good;
    size_t at = strlen(good.metadata);
    snprintf(f.cluster.marker.metadata + at, sizeof good.metadata - at, "%s", tails[i]);
    CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_CONSTRAINT);
  }
  f.cluster.marker = good;
  f.cluster.marker.offset = -5;
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_CONSTRAINT);
  f.cluster.marker = (struct wr_kafka_group_marker){.present = false};
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK(!seen.present);
  fixture_deinit(&f);
}

/* Another producer of the id, which then finds our marker: we go on. One that has written its own: we end. */
TEST(others_take_the_id) {
  static struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
  f.cluster.epoch++;
  CHECK_INT(commit_epoch(&f, 2, &already), WEIR_IO);
  CHECK(strstr(f.error.message, "another producer has taken the transactional id weir-job-sink") != NULL);
  CHECK_INT(commit_epoch(&f, 2, &already), WEIR_OK);
  CHECK(!already);
  const struct wr_kafka_group_marker mine = f.cluster.marker;
  f.store.start_number = 4; /* somebody else claims as start 4 ... */
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.store.start_number = 3; /* ... and we are start 3 again */
  f.target->vtable->close(f.target);
  CHECK_INT(commit_epoch(&f, 3, &already), WEIR_FENCED);
  CHECK(strstr(f.error.message, "start 4 of job \"job\" has taken over topic out at a:9092, this is start 3") != NULL);
  CHECK_INT(f.target->vtable->refresh(f.target, &f.error), WEIR_FENCED);
  CHECK_INT(fixture_start(&f), WEIR_FENCED);
  /* The brokers have lost what they had acknowledged. */
  f.cluster.marker = mine;
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 7, &already), WEIR_OK);
  f.cluster.marker.offset = 6;
  f.target->vtable->close(f.target);
  CHECK_INT(commit_epoch(&f, 8, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "has lost data") != NULL);
  f.cluster.marker.present = false;
  f.target->vtable->close(f.target);
  CHECK_INT(commit_epoch(&f, 8, &already), WEIR_REFUSED);
  CHECK(strstr(f.error.message, "is gone") != NULL);
  fixture_deinit(&f);
}

/* Between the comparison and the claim the start that was seen commits once more: compare again. */
TEST(a_claim_compares) {
  static struct fixture f;
  struct wr_marker seen;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
  f.store.start_number = 4;
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  f.target->vtable->close(f.target);
  f.cluster.marker.offset = 2;
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 1, &f.error), WEIR_BUSY);
  CHECK_INT(f.target->vtable->read_marker(f.target, &seen, &f.error), WEIR_OK);
  CHECK_INT(f.target->vtable->claim(f.target, &seen, 2, &f.error), WEIR_OK);
  CHECK(f.cluster.marker.offset == 2 && strstr(f.cluster.marker.metadata, " 4") != NULL);
  fixture_deinit(&f);
}

/* A message that nobody takes: it is named, and nothing is out. */
TEST(a_refused_message) {
  static struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_INT(fixture_start(&f), WEIR_OK);
  f.cluster.bad = 7;
  CHECK_INT(commit_epoch(&f, 1, &already), WEIR_CONSTRAINT);
  CHECK_STRING(f.error.message, "the message with key 7: too large");
  CHECK_STRING(f.cluster.log, "");
  CHECK_INT(f.cluster.marker.offset, 0);
  fixture_deinit(&f);
}

/* "There is no topic", "you may not": believed when it is still said ten seconds later. */
TEST(a_topic_that_is_not_there) {
  static const struct {
    enum wr_kafka_answer answer;
    enum weir_code code;
    const char *says;
  } cases[] = {{WR_KAFKA_NO_TOPIC, WEIR_NOT_FOUND, "there is no topic out at a:9092; make it first"},
               {WR_KAFKA_NOT_ALLOWED, WEIR_DENIED, "a:9092 does not let us write to topic out: no rights"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    static struct fixture f;
    fixture_init(&f);
    f.cluster.topic = cases[i].answer;
    CHECK_INT(fixture_start(&f), cases[i].code);
    CHECK(strstr(f.error.message, cases[i].says) != NULL);
    CHECK_INT(f.cluster.waits, 5);
    CHECK_INT(f.cluster.epoch, 0); /* nobody was shut out */
    fixture_deinit(&f);
  }
}

static const char *written(struct fixture *f, const uint32_t *key, uint32_t key_count, bool ignore_nulls,
                           bool is_upsert) {
  struct wr_batch_builder builder;
  bool already = false;
  f->config.key_fields = key;
  f->config.key_count = key_count;
  f->config.ignore_null_fields = ignore_nulls;
  f->config.is_upsert = is_upsert;
  f->cluster.log[0] = 0;
  f->cluster.marker.present = false;
  WR_ASSERT(fixture_start(f) == WEIR_OK);
  wr_batch_builder_init(&builder, &f->files.below_memory.memory, &schema, true);
  put_row(&builder, WEIR_INSERT, "a", 1);
  put_row(&builder, WEIR_UPDATE_AFTER, "a", -1);
  if (!is_upsert) put_row(&builder, WEIR_INSERT, NULL, 2);
  put_row(&builder, WEIR_INSERT, "", 3);
  enum weir_code code = commit_batch(f, 1, &builder, &already);
  return code == WEIR_OK ? f->cluster.log : f->error.message;
}

TEST(rows_as_messages) {
  static struct fixture f;
  bool already = false;
  fixture_init(&f);
  CHECK_STRING(written(&f, NULL, 0, false, false),
               "={\"k\":\"a\",\"v\":1};={\"k\":\"a\",\"v\":null};={\"k\":null,\"v\":2};={\"k\":\"\",\"v\":3};");
  CHECK_STRING(written(&f, first_field, 1, true, false),
               "a={\"k\":\"a\",\"v\":1};a={\"k\":\"a\"};={\"v\":2};={\"k\":\"\",\"v\":3};");
  CHECK_STRING(written(&f, both_fields, 2, true, false),
               "{\"k\":\"a\",\"v\":1}={\"k\":\"a\",\"v\":1};{\"k\":\"a\",\"v\":null}={\"k\":\"a\"};"
               "{\"k\":null,\"v\":2}={\"v\":2};{\"k\":\"\",\"v\":3}={\"k\":\"\",\"v\":3};");
  CHECK_STRING(written(&f, first_field, 1, true, true), "a={\"k\":\"a\"};={\"k\":\"\",\"v\":3};");
  /* What a topic without keys cannot say. */
  f.config.is_upsert = false;
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f.files.below_memory.memory, &schema, true);
  put_row(&builder, WEIR_DELETE, "a", 1);
  CHECK_INT(commit_batch(&f, 2, &builder, &already), WEIR_CONSTRAINT);
  CHECK(strstr(f.error.message, "a row takes an earlier one back") != NULL);
  fixture_deinit(&f);
}

static void fixture_with_dashes(struct fixture *f) {
  fixture_init(f);
  f->context.job_name = "a-b";
  f->context.uid = "c";
}

/* The id of names with a '-': exact for a new job; what an earlier version has begun goes on as it was, and is shut out
 * when its old process comes back; a right to one of the two is enough. */
TEST(names_with_dashes) {
  static struct fixture f;
  bool already = false;
  for (int kind = 0; kind < 5; kind++) {
    bool has_older = kind >= 2;
    fixture_with_dashes(&f);
    if (has_older) {
      f.cluster.older_marker = (struct wr_kafka_group_marker){.present = true, .offset = 4};
      snprintf(f.cluster.older_marker.metadata, sizeof f.cluster.older_marker.metadata,
               "weir 1 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a 2");
    }
    f.cluster.denies_older = kind == 1;
    f.cluster.denies_exact = kind == 3;
    if (kind == 4) { /* another job of an earlier version: the exact one's marker counts */
      f.cluster.marker = f.cluster.older_marker;
      f.cluster.older_marker.metadata[7] = '0';
      has_older = false;
    }
    CHECK_INT(fixture_start(&f), WEIR_OK);
    CHECK_INT(commit_epoch(&f, 5, &already), WEIR_OK);
    CHECK_INT(f.cluster.marker.offset, has_older ? 0 : 5);
    CHECK_INT(f.cluster.older_marker.offset, kind < 2 ? 0 : has_older ? 5 : 4);
    f.cluster.older_epoch++; /* somebody else fences the older id */
    enum weir_code code = commit_epoch(&f, 6, &already);
    CHECK_INT(code, has_older ? WEIR_IO : WEIR_OK);
    if (has_older) CHECK_INT(commit_until_done(&f, 6), WEIR_OK);
    CHECK_INT((has_older ? f.cluster.older_marker : f.cluster.marker).offset, 6);
    CHECK_INT(fixture_start(&f), WEIR_OK); /* and the next start finds the same */
    CHECK_INT((has_older ? f.cluster.older_marker : f.cluster.marker).offset, 6);
    fixture_deinit(&f);
  }
  fixture_with_dashes(&f);
  f.cluster.denies_exact = f.cluster.denies_older = true;
  CHECK_INT(fixture_start(&f), WEIR_DENIED);
  fixture_deinit(&f);
}

/* Each call fails once on the way to the id: it is come to all the same, and nothing is written by the other. */
TEST(an_id_is_settled_though_calls_fail) {
  for (int has_older = 0; has_older < 2; has_older++)
    for (int fault = 0; fault < SHUT_OUT; fault++)
      for (uint32_t at = 1, failed = 1; failed; at++) {
        static struct fixture f;
        fixture_with_dashes(&f);
        if (has_older) {
          f.cluster.older_marker = (struct wr_kafka_group_marker){.present = true, .offset = 4};
          snprintf(f.cluster.older_marker.metadata, sizeof f.cluster.older_marker.metadata,
                   "weir 1 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a 2");
        }
        f.cluster.fail_at = at;
        f.cluster.fail_count = 1;
        f.cluster.fault = (enum fault)fault;
        enum weir_code code = fixture_start(&f);
        failed = f.cluster.calls >= at;
        for (int again = 0; code != WEIR_OK && again < 3; again++) {
          CHECK(weir_code_is_transient(code));
          code = fixture_start(&f);
        }
        CHECK_INT(code, WEIR_OK);
        CHECK_INT(f.cluster.marker.present, !has_older);
        CHECK_INT(f.cluster.older_marker.present, has_older);
        fixture_deinit(&f);
      }
}

TEST(mistakes) {
  static struct fixture f;
  static const uint32_t no_field[] = {2};
  fixture_init(&f);
  CHECK_INT(wr_kafka_sink_check(&f.config, &schema, &f.error), WEIR_OK);
  f.config.key_fields = no_field;
  CHECK_INT(wr_kafka_sink_check(&f.config, &schema, &f.error), WEIR_INVALID);
  f.config.key_count = 0;
  CHECK_INT(wr_kafka_sink_check(&f.config, &schema, &f.error), WEIR_INVALID);
  f.config.is_upsert = false;
  f.config.connection.setting_count = 1;
  CHECK_INT(wr_kafka_sink_check(&f.config, &schema, &f.error), WEIR_INVALID);
  f.config.topic = "";
  CHECK_INT(wr_kafka_sink_check(&f.config, &schema, &f.error), WEIR_INVALID);
  fixture_deinit(&f);
}

TEST(no_memory) {
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    static struct fixture f;
    static char expected[LOG_BYTES];
    bool already = false;
    fixture_init(&f);
    f.config.key_fields = both_fields;
    f.config.key_count = 2;
    f.config.is_upsert = false;
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = fixture_start(&f);
    if (code == WEIR_OK) code = commit_epoch(&f, 1, &already);
    failed = f.files.memory.failures > 0;
    test_memory_fail_after(&f.files.memory, 0, false);
    CHECK(code == WEIR_OK || (failed && code == WEIR_NO_MEMORY));
    if (code != WEIR_OK) {
      CHECK_STRING(f.cluster.log, "");
      CHECK_INT(fixture_start(&f), WEIR_OK);
      CHECK_INT(commit_epoch(&f, 1, &already), WEIR_OK);
    }
    snprintf(expected, sizeof expected, "{\"k\":\"0\",\"v\":1}={\"k\":\"0\",\"v\":1};");
    CHECK(strncmp(f.cluster.log, expected, strlen(expected)) == 0);
    fixture_deinit(&f);
  }
}

TEST_MAIN(TEST_CASE(every_call_fails), TEST_CASE(markers), TEST_CASE(others_take_the_id), TEST_CASE(a_claim_compares),
          TEST_CASE(a_refused_message), TEST_CASE(a_topic_that_is_not_there), TEST_CASE(rows_as_messages),
          TEST_CASE(names_with_dashes), TEST_CASE(an_id_is_settled_though_calls_fail), TEST_CASE(mistakes),
          TEST_CASE(no_memory))
