/* connectors/kafka/test_kafka_plain.c: the plain sink's target against a topic in memory, each of whose calls fails. */
#include "base/test.h"
#include "connectors/kafka/kafka_plain.h"
#include "operators/test_parts.h"
#include "store/test_files.h"

static const struct weir_schema schema = {
    .fields = (const struct weir_field[]){{"k", WEIR_TYPE_STRING, false}, {"v", WEIR_TYPE_BIGINT, false}},
    .field_count = 2};
static const uint32_t key[] = {0};

/* What is in the topic: "key:value;". What is written and not flushed is in `sent`, and half of it goes out when the
 * flush fails. */
struct topic {
  struct wr_kafka_producer_driver driver;
  char log[1024], sent[1024];
  uint32_t calls, fail_at, living;
  bool is_missing, refuses;
  struct test_files *files;
};

struct fake {
  struct wr_kafka_producer producer;
  struct topic *topic;
  struct wr_memory *memory;
  bool has_failed;
};

static struct fake *of(struct wr_kafka_producer *producer) {
  return (struct fake *)producer;
}

static bool fails(struct fake *fake) {
  WR_ASSERT(!fake->has_failed);
  fake->has_failed = ++fake->topic->calls == fake->topic->fail_at;
  return fake->has_failed;
}

static enum weir_code fake_look(struct wr_kafka_producer *producer, uint32_t timeout_ms,
                                struct wr_kafka_target_topic *out_topic, struct weir_error *error) {
  (void)timeout_ms;
  if (fails(of(producer))) return WR_FAIL(error, WEIR_TIMEOUT, "made to fail");
  *out_topic =
      (struct wr_kafka_target_topic){.answer = of(producer)->topic->is_missing ? WR_KAFKA_NO_TOPIC : WR_KAFKA_FINE};
  return WEIR_OK;
}

static enum weir_code fake_write(struct wr_kafka_producer *producer, const struct wr_kafka_message *messages,
                                 uint32_t count, uint32_t *out_bad, struct weir_error *error) {
  struct topic *topic = of(producer)->topic;
  if (fails(of(producer))) return WR_FAIL(error, WEIR_IO, "made to fail");
  *out_bad = count - 1;
  if (topic->refuses) return WR_FAIL(error, WEIR_CONSTRAINT, "too large");
  for (uint32_t i = 0; i < count; i++) {
    size_t length = strlen(topic->sent);
    snprintf(topic->sent + length, sizeof topic->sent - length, "%.*s%.*s;", (int)messages[i].key_length,
             messages[i].key == NULL ? "" : (const char *)messages[i].key, (int)messages[i].value_length,
             messages[i].value == NULL ? "" : (const char *)messages[i].value);
  }
  return WEIR_OK;
}

static enum weir_code fake_flush(struct wr_kafka_producer *producer, uint32_t timeout_ms, struct weir_error *error) {
  struct topic *topic = of(producer)->topic;
  (void)timeout_ms;
  bool failed = fails(of(producer));
  if (failed) *(strchr(topic->sent, ';') + 1) = 0;
  size_t length = strlen(topic->log);
  snprintf(topic->log + length, sizeof topic->log - length, "%s", topic->sent);
  topic->sent[0] = 0;
  return failed ? WR_FAIL(error, WEIR_TIMEOUT, "made to fail") : WEIR_OK;
}

static void fake_wait(struct wr_kafka_producer *producer, uint32_t wait_ms) {
  of(producer)->topic->files->now_ns += wait_ms * 1000000ull;
}

static void fake_close(struct wr_kafka_producer *producer) {
  of(producer)->topic->sent[0] = 0;
  of(producer)->topic->living--;
  wr_free(of(producer)->memory, producer);
}

static const struct wr_kafka_producer_vtable fake_vtable = {
    .look = fake_look, .write = fake_write, .flush = fake_flush, .wait = fake_wait, .close = fake_close};

static enum weir_code fake_open(const struct wr_kafka_producer_driver *driver,
                                const struct wr_kafka_producer_options *options, struct wr_seams *seams,
                                struct wr_memory *memory, struct wr_kafka_producer **out_producer,
                                struct weir_error *error) {
  struct topic *topic = (struct topic *)driver;
  (void)seams;
  WR_ASSERT(options->transactional_id == NULL);
  struct fake *fake = wr_alloc_zeroed(memory, 1, sizeof *fake, WR_MEMORY_SINK);
  if (fake == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a producer");
  *fake = (struct fake){.producer = {&fake_vtable}, .topic = topic, .memory = memory};
  topic->living++;
  *out_producer = &fake->producer;
  return WEIR_OK;
}

struct fixture {
  struct test_files files;
  struct topic topic;
  struct wr_kafka_sink_config config;
  struct wr_target_context context;
  struct wr_plain_target *target;
  struct weir_error error;
};

static void fixture_init(struct fixture *f) {
  memset(f, 0, sizeof *f);
  test_files_init(&f->files);
  f->topic.driver.open = fake_open;
  f->topic.files = &f->files;
  f->config = (struct wr_kafka_sink_config){.driver = &f->topic.driver,
                                            .connection = {.servers = "a:9092"},
                                            .topic = "out",
                                            .key_fields = key,
                                            .key_count = 1,
                                            .ignore_null_fields = true,
                                            .is_upsert = true};
  f->context = (struct wr_target_context){
      .seams = &f->files.seams, .memory = &f->files.memory.memory, .uid = "sink", .schema = &schema};
}

static void fixture_deinit(struct fixture *f) {
  if (f->target != NULL) f->target->vtable->free(f->target);
  WR_ASSERT(f->topic.living == 0 && f->files.memory.living_count == 0);
  test_files_deinit(&f->files);
}

/* A batch of one row for each letter, whose key it is. */
static enum weir_code put(struct fixture *f, const char *letters) {
  struct wr_batch_builder builder;
  wr_batch_builder_init(&builder, &f->files.below_memory.memory, &schema, false);
  for (const char *at = letters; *at != 0; at++) {
    WR_ASSERT(wr_batch_builder_begin(&builder, NULL) == WEIR_OK);
    WR_ASSERT(wr_batch_builder_set_bytes(&builder, 0, at, 1, NULL) == WEIR_OK);
    wr_batch_builder_set_bigint(&builder, 1, at - letters);
    wr_batch_builder_end_row(&builder, WEIR_INSERT);
  }
  struct wr_batch *batch = wr_batch_builder_take(&builder);
  enum weir_code code = f->target->vtable->write(f->target, &batch, 1, &f->error);
  wr_batch_unref(batch);
  wr_batch_builder_deinit(&builder);
  return code;
}

#define ROW(key, value) key "{\"k\":\"" key "\",\"v\":" #value "};"

/* Each call fails: what was not acknowledged is written again as a whole, by another producer. */
TEST(every_call_fails) {
  bool failed = true;
  for (uint32_t n = 1; failed; n++) {
    struct fixture f;
    fixture_init(&f);
    f.topic.fail_at = n;
    CHECK_INT(wr_kafka_plain_new(&f.config, &f.context, &f.target, &f.error), WEIR_OK);
    enum weir_code code = f.target->vtable->connect(f.target, &f.error);
    if (code != WEIR_OK) CHECK_INT(f.target->vtable->connect(f.target, &f.error), WEIR_OK);
    for (int tick = 0; tick < 2; tick++)
      while (put(&f, tick == 0 ? "aba" : "c") != WEIR_OK)
        CHECK(weir_code_is_transient(f.error.code));
    failed = f.topic.calls >= n;
    /* look, write, flush, write, flush: a failed flush had sent the first message. */
    CHECK_STRING(f.topic.log, n == 3   ? ROW("a", 2) ROW("a", 2) ROW("b", 1) ROW("c", 0)
                              : n == 5 ? ROW("a", 2) ROW("b", 1) ROW("c", 0) ROW("c", 0)
                                       : ROW("a", 2) ROW("b", 1) ROW("c", 0));
    f.target->vtable->close(f.target);
    fixture_deinit(&f);
  }
}

TEST(permanent_errors) {
  struct fixture f;
  fixture_init(&f);
  CHECK_INT(wr_kafka_plain_new(&f.config, &f.context, &f.target, &f.error), WEIR_OK);
  f.topic.refuses = true;
  CHECK_INT(put(&f, "ab"), WEIR_CONSTRAINT);
  CHECK_STRING(f.error.message, "the message with key b: too large");
  f.topic.is_missing = true;
  CHECK_INT(f.target->vtable->connect(f.target, &f.error), WEIR_NOT_FOUND);
  CHECK(strstr(f.error.message, "there is no topic out at a:9092; make it first") != NULL);
  fixture_deinit(&f);
}

TEST(no_memory) {
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct fixture f;
    fixture_init(&f);
    test_memory_fail_after(&f.files.memory, n, false);
    enum weir_code code = wr_kafka_plain_new(&f.config, &f.context, &f.target, &f.error);
    if (code == WEIR_OK) code = put(&f, "ab");
    failed = f.files.memory.failures > 0;
    CHECK_INT(code, failed ? WEIR_NO_MEMORY : WEIR_OK);
    test_memory_fail_after(&f.files.memory, 0, false);
    if (f.target != NULL) CHECK_INT(put(&f, "cd"), WEIR_OK);
    fixture_deinit(&f);
  }
}

TEST_MAIN(TEST_CASE(every_call_fails), TEST_CASE(permanent_errors), TEST_CASE(no_memory))
