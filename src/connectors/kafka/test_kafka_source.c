/* connectors/kafka/test_kafka_source.c: the Kafka source against a Kafka of a table (test_kafka_fake.h) that fails on
 * command: stops, holes, doubts, commits, restores at another parallelism, and a model in which every record has to
 * come out once, with its place. */
#include "base/random.h"
#include "connectors/kafka/kafka_enumerator.h"
#include "connectors/kafka/kafka_reader.h"
#include "connectors/kafka/test_kafka_fake.h"

#define TEST_SOURCE_CONFIG struct wr_kafka_config
#define TEST_SOURCE_NEW_ENUMERATOR wr_kafka_enumerator_new
#define TEST_SOURCE_NEW_READER wr_kafka_reader_new
#include "connectors/test_source.h"

static struct fake fake;

static void job_configure(struct job *job) {
  job->config = (struct wr_kafka_config){.driver = &fake.driver,
                                         .connection = {.servers = "localhost:9092", .group = "weir-test"},
                                         .topic = "views",
                                         .schema = &schema,
                                         .partition_field = PARTITION,
                                         .position_field = POSITION,
                                         .on_error = WR_KAFKA_SKIP,
                                         .event_time_field = WR_KAFKA_NO_FIELD};
}

static void begin(struct job *job, uint32_t partition_count) {
  fake_init(&fake, partition_count);
  job_init(job);
}

static void end(struct job *job) {
  job_deinit(job);
  fake_deinit(&fake);
}

static void append(int partition, const char *app) {
  char value[128];
  snprintf(value, sizeof value, "{\"app_id\":\"%s\"}", app);
  fake_append(&fake, partition, value);
}

/* "0@3 1@0/5!": partition, position, stop, ended, of what is stored. */
static const char *stored(const struct job *job) {
  static char text[512];
  struct wr_reader reader = wr_reader_of(job->stored.data, job->stored.length);
  text[0] = 0;
  while (reader.position < reader.length) {
    size_t length = 0, used = strlen(text);
    const uint8_t *bytes = wr_read_block(&reader, &length);
    struct wr_kafka_split split;
    WR_ASSERT(wr_kafka_split_read(bytes, length, &split, NULL) == WEIR_OK);
    used += (size_t)snprintf(text + used, sizeof text - used, "%s%d@%d", used == 0 ? "" : " ", split.partition,
                             (int)split.position);
    if (split.has_stop) snprintf(text + used, sizeof text - used, "/%d%s", (int)split.stop, split.ended ? "!" : "");
  }
  return text;
}

static void job_complete(struct job *job) {
  for (uint32_t i = 0; i < job->parallelism; i++)
    job->readers[i]->vtable->complete(job->readers[i], job->checkpoint_id);
}

static bool logged_once(const struct job *job, const char *text) {
  const char *first = strstr(job->logged, text);
  return first != NULL && strstr(first + 1, text) == NULL;
}

/* ---- what it does ---- */

TEST(reads_and_follows) {
  struct job job;
  begin(&job, 2);
  append(0, "a");
  fake_append(&fake, 0, fake_hole);
  append(0, "b");
  append(1, "c");
  fake_append(&fake, 1, fake_hole);
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:2:b 1:0:c");
  job_snapshot(&job);
  CHECK_STRING(stored(&job), "0@3 1@2"); /* also behind what holds no record */
  append(1, "d");
  fake_append(&fake, 0, fake_tombstone);
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK_STRING(job.output.last_dead_error, "a tombstone: a record without a value");
  CHECK_STRING(job.output.last_dead_record, "");
  fake_append(&fake, 0, "{\"app_id\":7}");
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK(strstr(job.output.last_dead_error, "a field is of another type: field \"app_id\" is not a string") != NULL);
  CHECK_STRING(job.output.last_dead_record, "{\"app_id\":7}");
  fake_append(&fake, 0, "");
  CHECK_INT(job_run_for(&job, 200), WEIR_OK);
  CHECK(strstr(job.output.last_dead_error, "not JSON") != NULL);
  CHECK_STRING(came(&job), "0:0:a 0:2:b 0:3! 0:4! 0:5! 1:0:c 1:2:d");
  CHECK_INT(atomic_load(&job.metrics[0].records_skipped), 3);
  CHECK_INT(atomic_load(&job.metrics[0].source_records), 7);
  fake.partition_count = 3; /* found later: from its earliest record, which is not 0 */
  fake.partitions[2].low = fake.partitions[2].high = 5;
  append(2, "z");
  CHECK_INT(job_run_for(&job, 5100), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:2:b 0:3! 0:4! 0:5! 1:0:c 1:2:d 2:5:z");
  CHECK_STRING(job.logged, "");
  end(&job);
}

TEST(an_uncommitted_tail_waits) {
  struct job job;
  begin(&job, 1);
  append(0, "a");
  append(0, "b");
  fake.partitions[0].open = 1;
  CHECK_INT(job_start(&job, 1, true), WEIR_OK);
  CHECK_INT(job_run_for(&job, 3000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a");
  CHECK(!job_is_done(&job));
  fake.partitions[0].values[1] = (free((char *)fake.partitions[0].values[1]), fake_hole); /* it was aborted */
  fake.partitions[0].open = -1;
  CHECK_INT(job_run_for(&job, 3000), WEIR_OK);
  CHECK(job_is_done(&job));
  job_snapshot(&job);
  CHECK_STRING(stored(&job), "0@2/2!");
  end(&job);
}

TEST(stops) {
  struct job job;
  begin(&job, 3);
  append(0, "a");
  append(0, "b");
  append(1, "c");
  fake_append(&fake, 1, fake_hole);
  CHECK_INT(job_start(&job, 2, true), WEIR_OK);
  while (!job.enumerator->vtable->is_ready(job.enumerator))
    CHECK_INT(job_run(&job, 1), WEIR_OK);
  job_snapshot(&job); /* checkpoint 0: before the first record */
  append(0, "late");
  append(1, "late");
  fake.partition_count = 4;
  append(3, "late");
  job_kill(&job);
  for (int turn = 0; turn < 2; turn++) { /* run again after its end it is at its end */
    CHECK_INT(job_start(&job, turn == 0 ? 1 : 3, true), WEIR_OK);
    CHECK_INT(job_run_for(&job, 20000), WEIR_OK);
    CHECK(job_is_done(&job));
    CHECK_STRING(came(&job), "0:0:a 0:1:b 1:0:c");
    job_snapshot(&job);
    CHECK_STRING(stored(&job), turn == 0 ? "0@2/2! 1@2/2! 2@0/0!" : "0@2/2! 1@2/2! 2@0/0!");
    job_kill(&job);
    fake.partitions[0].low = turn == 0 ? 3 : 0; /* retention may go on behind the end */
  }
  CHECK_INT(job_start(&job, 1, false), WEIR_OK); /* not bounded: it goes on, and what is new is found */
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 0:2:late 1:0:c 1:2:late 3:0:late");
  end(&job);
}

/* The high watermark is in front of a record that has come in the meantime, and in front of it is a hole. */
TEST(a_record_behind_the_stop_ends_the_split) {
  struct job job;
  begin(&job, 1);
  append(0, "a");
  fake_append(&fake, 0, fake_hole);
  CHECK_INT(job_start(&job, 1, true), WEIR_OK);
  CHECK_INT(job_run(&job, 2), WEIR_OK);
  append(0, "late");
  fake.partitions[0].open = -1;
  CHECK_INT(job_run_for(&job, 1000), WEIR_OK);
  CHECK(job_is_done(&job));
  CHECK_STRING(came(&job), "0:0:a");
  job_snapshot(&job);
  CHECK_STRING(stored(&job), "0@2/2!");
  end(&job);
}

TEST(bounded_needs_all_leaders) {
  struct job job;
  begin(&job, 2);
  append(0, "a");
  append(1, "b");
  fake.partitions[1].no_leader = true;
  CHECK_INT(job_start(&job, 1, true), WEIR_OK);
  CHECK_INT(job_run_for(&job, 12000), WEIR_OK);
  CHECK(!job.enumerator->vtable->is_ready(job.enumerator));
  CHECK_STRING(came(&job), "");
  CHECK(strstr(job.logged, "source source: topic views, partition 1 has no leader; it is waited for") != NULL);
  append(0, "c"); /* the first good look fixes the stops */
  fake.partitions[1].no_leader = false;
  CHECK_INT(job_run_for(&job, 6000), WEIR_OK);
  CHECK(job_is_done(&job));
  CHECK_STRING(came(&job), "0:0:a 0:1:c 1:0:b");
  end(&job);
}

TEST(a_partition_without_a_leader_comes_later) {
  struct job job;
  begin(&job, 2);
  append(0, "a");
  append(1, "b");
  fake.partitions[0].no_leader = true;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 1000), WEIR_OK);
  CHECK(job.enumerator->vtable->is_ready(job.enumerator));
  CHECK_STRING(came(&job), "1:0:b");
  fake.partitions[0].no_leader = false;
  CHECK_INT(job_run_for(&job, 5000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 1:0:b");
  end(&job);
}

/* ---- brokers that are away ---- */

TEST(brokers_that_are_away_are_waited_for) {
  struct job job;
  begin(&job, 1);
  append(0, "a");
  fake.is_away = true;
  fake.open_failures = 2;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 9000), WEIR_OK);
  CHECK(logged_once(&job, "no answer about topic views from localhost:9092"));
  CHECK_INT(job_run_for(&job, 60000), WEIR_OK);
  CHECK(!logged_once(&job, "no broker answers: Connection refused"));
  CHECK(fake.looks < 20);
  fake.is_away = false;
  CHECK_INT(job_run_for(&job, 11000), WEIR_OK);
  CHECK(logged_once(&job, "topic views is there again"));
  CHECK_STRING(came(&job), "0:0:a");
  fake.is_away = true;
  fake.partitions[0].no_leader = true;
  append(0, "b");
  CHECK_INT(job_run_for(&job, 60000), WEIR_OK);
  fake.is_away = fake.partitions[0].no_leader = false;
  CHECK_INT(job_run_for(&job, 1000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b");
  fake.open_failures = 1; /* of a consumer */
  job_snapshot(&job);
  job_kill(&job);
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run(&job, 4), WEIR_OK);
  fake.open_failures = 1;
  append(0, "c");
  CHECK_INT(job_run_for(&job, 1000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 0:2:c");
  end(&job);
}

/* ---- doubts ---- */

/* A job that has read two records of partition 0 and has a checkpoint of them. */
static void begin_with_history(struct job *job) {
  begin(job, 2);
  append(0, "a");
  append(0, "b");
  append(1, "c");
  WR_ASSERT(job_start(job, 1, false) == WEIR_OK);
  WR_ASSERT(job_run_for(job, 200) == WEIR_OK);
  job_snapshot(job);
}

static void vanish(bool there) {
  fake.no_topic = !there;
}
static void lose_partition(bool there) {
  fake.partition_count = there ? 2 : 1;
}
static void end_below(bool there) {
  fake.partitions[0].high = there ? 2 : 1;
}
static void begin_above(bool there) {
  append(0, "x");
  fake.partitions[0].low = there ? 2 : 3;
}
static void forbid(bool there) {
  fake.denied = there ? NULL : "Topic authorization failed";
}

static const struct {
  void (*change)(bool there);
  enum weir_code code;
  const char *says;
} changes[] = {{vanish, WEIR_NOT_FOUND, "there is no topic \"views\""},
               {lose_partition, WEIR_GONE, "no partition 1 any more (it has 1)"},
               {end_below, WEIR_GONE, "partition 0 ends at offset 1, but was read up to offset 2"},
               {begin_above, WEIR_GONE, "partition 0 begins at offset 3"},
               {forbid, WEIR_DENIED, "Topic authorization failed"}};
enum { CHANGES = sizeof changes / sizeof changes[0] };

TEST(a_no_is_believed_when_it_stays) {
  for (int i = 0; i < CHANGES; i++)
    for (int restored = 0; restored < 2; restored++) {
      struct job job;
      begin_with_history(&job);
      if (restored) job_kill(&job);
      if (restored) CHECK_INT(job_start(&job, 2, false), WEIR_OK);
      changes[i].change(false);
      if (!restored) fake.partitions[0].lies = 1; /* so that the reader asks, where it would not hear of it */
      fake.partitions[0].lie = WR_KAFKA_OUT_OF_RANGE;
      CHECK_INT(job_run_for(&job, 9000), WEIR_OK);
      if (restored) CHECK(!job.enumerator->vtable->is_ready(job.enumerator));
      CHECK(strstr(job.logged, "asking again before it is believed") != NULL);
      CHECK_INT(job_run_for(&job, 17000), changes[i].code);
      if (strstr(job.error.message, changes[i].says) == NULL)
        TEST_FAIL("\"%s\" does not say \"%s\"", job.error.message, changes[i].says);
      CHECK(strstr(job.error.message, "source source: ") == job.error.message);
      end(&job);
    }
}

TEST(a_no_that_goes_away_was_nothing) {
  for (int i = 0; i < CHANGES; i++)
    for (int restored = 0; restored < 2; restored++) {
      struct job job;
      begin_with_history(&job);
      if (restored) job_kill(&job);
      if (restored) CHECK_INT(job_start(&job, 2, false), WEIR_OK);
      for (int turn = 0; turn < 4; turn++) { /* never two in a row */
        changes[i].change(false);
        fake.partitions[0].lies = restored ? 0 : 1;
        fake.partitions[0].lie = i == CHANGES - 1 ? WR_KAFKA_NOT_ALLOWED : WR_KAFKA_OUT_OF_RANGE;
        CHECK_INT(job_run_for(&job, 6000), WEIR_OK);
        changes[i].change(true);
        CHECK_INT(job_run_for(&job, 12000), WEIR_OK);
      }
      append(0, "end");
      CHECK_INT(job_run_for(&job, 12000), WEIR_OK);
      CHECK(strstr(came(&job), ":end") != NULL);
      CHECK(strncmp(came(&job), "0:0:a 0:1:b 0:2:", 16) == 0);
      end(&job);
    }
}

/* Fetching is refused again and again while a look finds nothing wrong: the client is asked less and less often. */
TEST(a_client_that_is_refused_for_no_reason) {
  struct job job;
  begin_with_history(&job);
  fake.partitions[0].lies = 1000000;
  fake.partitions[0].lie = WR_KAFKA_OUT_OF_RANGE;
  CHECK_INT(job_run_for(&job, 100000), WEIR_OK);
  CHECK(fake.assigns < 30);
  fake.partitions[0].lies = 0;
  append(0, "d");
  CHECK_INT(job_run_for(&job, 11000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 0:2:d 1:0:c");
  fake.partitions[0].lies = 1000000; /* rights are the client's own matter: a look may be allowed where a read is not */
  fake.partitions[0].lie = WR_KAFKA_NOT_ALLOWED;
  CHECK_INT(job_run_for(&job, 9000), WEIR_OK);
  CHECK_INT(job_run_for(&job, 3000), WEIR_DENIED);
  CHECK(strstr(job.error.message, "the broker said no") != NULL);
  end(&job);
}

TEST(trouble_of_the_client) {
  for (int stays = 0; stays < 2; stays++) {
    struct job job;
    begin_with_history(&job);
    fake.trouble = "no broker answers: Connection refused";
    CHECK_INT(job_run_for(&job, 100), WEIR_OK);
    CHECK(strstr(job.logged, "source source: topic views: no broker answers: Connection refused") != NULL);
    CHECK_INT(job_run_for(&job, 11000), WEIR_OK);
    fake.trouble = "SASL authentication failed";
    fake.trouble_answer = WR_KAFKA_NOT_ALLOWED;
    CHECK_INT(job_run_for(&job, 9000), WEIR_OK);
    if (stays) fake.denied = "SASL authentication failed";
    CHECK_INT(job_run_for(&job, 3000), stays ? WEIR_DENIED : WEIR_OK);
    if (stays) CHECK(strstr(job.error.message, "(SASL authentication failed); check its credentials") != NULL);
    if (!stays) CHECK_INT(job_run_for(&job, 60000), WEIR_OK);
    end(&job);
  }
}

/* ---- restores ---- */

TEST(another_topic_or_cluster_is_foreign) {
  struct job job;
  begin_with_history(&job);
  job_kill(&job);
  fake.cluster = "c2";
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 100), WEIR_FOREIGN);
  CHECK(strstr(job.error.message, "are cluster c2, but topic views was read in cluster c1") != NULL);
  job_kill(&job);
  fake.cluster = ""; /* a broker that names no cluster is not compared */
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  append(0, "d");
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 0:2:d 1:0:c");
  job_kill(&job);
  job.config.topic = "clicks";
  CHECK_INT(job_start(&job, 1, false), WEIR_FOREIGN);
  CHECK(strstr(job.error.message, "has read topic views up to now, not clicks") != NULL);
  end(&job);
}

TEST(a_restored_partition_needs_a_leader) {
  struct job job;
  begin_with_history(&job);
  job_kill(&job);
  append(1, "d");
  fake.partitions[0].no_leader = true;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 30000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 1:0:c");
  CHECK(!job.enumerator->vtable->is_ready(job.enumerator));
  fake.partitions[0].no_leader = false;
  CHECK_INT(job_run_for(&job, 6000), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1:b 1:0:c 1:1:d");
  end(&job);
}

/* ---- commits ---- */

static int64_t committed_metric(const struct job *job, int32_t partition) {
  const struct wr_split_metrics *split = atomic_load(&job->metrics[0].split_list);
  while (split->partition != partition)
    split = split->next;
  return atomic_load(&split->committed_offset);
}

TEST(commits_come_after_completion) {
  struct job job;
  begin_with_history(&job);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK_INT(fake.commits, 0);
  append(0, "d");
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  job_complete(&job);
  CHECK_INT(fake.commits, 1);
  CHECK(fake.committed[0] == 2 && fake.committed[1] == 1); /* of the checkpoint, not of now */
  CHECK_INT(committed_metric(&job, 0), -1);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK(committed_metric(&job, 0) == 2 && committed_metric(&job, 1) == 1);
  CHECK_INT(atomic_load(&job.metrics[0].commits_succeeded), 1);
  job_snapshot(&job);
  job.readers[0]->vtable->aborted(job.readers[0], job.checkpoint_id);
  job_complete(&job);
  CHECK_INT(fake.commits, 1);
  for (int i = 0; i < 100; i++)
    job_snapshot(&job); /* nobody says what became of them */
  job_complete(&job);
  CHECK(fake.commits == 2 && fake.committed[0] == 3);
  fake.commits_fail = true;
  job_snapshot(&job);
  job_complete(&job);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK_INT(atomic_load(&job.metrics[0].commits_failed), 2);
  CHECK(logged_once(&job, "offsets could not be shown to group weir-test: the coordinator is away"));
  end(&job);
}

TEST(metrics_of_partitions) {
  struct job job;
  begin(&job, 1);
  for (int i = 0; i < 100; i++)
    append(0, "a");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  const struct wr_split_metrics *split = atomic_load(&job.metrics[0].split_list);
  CHECK(split != NULL && split->next == NULL && split->partition == 0);
  CHECK_STRING(split->topic, "views");
  CHECK(atomic_load(&split->current_offset) == 99 && atomic_load(&split->lag) == 0);
  fake.partitions[0].open = 100;
  for (int i = 0; i < 7; i++)
    append(0, "a");
  fake.partitions[0].open = 102;
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK(atomic_load(&split->current_offset) == 101 && atomic_load(&split->lag) == 5);
  end(&job);
}

/* ---- bad records, settings ---- */

TEST(a_bad_record_fails_the_job) {
  static const struct {
    const char *value, *says;
  } cases[] = {{"{\"app_id\":", "topic views, partition 1, offset 1: not JSON: "},
               {"{\"app_id\":7}", "of another type: field \"app_id\" is not a string: {\"app_id\":7}"},
               {"", "topic views, partition 1, offset 1: not JSON: "},
               {fake_tombstone, "topic views, partition 1, offset 1: a tombstone: a record without a value"},
               {"[]", "not a JSON object"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct job job;
    begin(&job, 2);
    job.config.on_error = WR_KAFKA_FAIL;
    append(1, "a");
    fake_append(&fake, 1, cases[i].value);
    CHECK_INT(job_start(&job, 1, false), WEIR_OK);
    CHECK_INT(job_run_for(&job, 100), WEIR_BAD_RECORD);
    if (strstr(job.error.message, cases[i].says) == NULL)
      TEST_FAIL("\"%s\" does not say \"%s\"", job.error.message, cases[i].says);
    end(&job);
  }
}

/* They are decoded together; each keeps its offset, its newlines, and its faults to itself. */
TEST(values_of_one_fetch) {
  enum { LARGE = 40000 }; /* more than are decoded together */
  struct job job;
  begin(&job, 1);
  append(0, "a");
  fake_append(&fake, 0, "{\"app_id\":");
  fake_append(&fake, 0, "{\n\"app_id\"\n:\"b\"}\n");
  fake_append(&fake, 0, fake_tombstone);
  fake_append(&fake, 0, "{\"app_id\":\"c");
  fake_append(&fake, 0, "\"}");
  char *large = malloc(LARGE + 1);
  memset(large, ' ', LARGE);
  memcpy(large, "{\"app_id\":\"d\"}", 14);
  large[LARGE] = 0;
  fake_append(&fake, 0, large);
  free(large);
  fake_append(&fake, 0, fake_hole);
  fake_append(&fake, 0, "");
  fake_append(&fake, 0, "{\"app_id\":\"\xc3");
  fake_append(&fake, 0, "\xa9\"}");
  append(0, "e");
  fake.is_early = true;
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK_STRING(came(&job), "0:0:a 0:1! 0:2:b 0:3! 0:4! 0:5! 0:6:d 0:8! 0:9! 0:10! 0:11:e");
  job_snapshot(&job);
  CHECK_STRING(stored(&job), "0@12");
  end(&job);
}

TEST(a_record_that_is_too_long) {
  struct job job;
  begin(&job, 1);
  char *value = malloc(WR_RECORD_BYTES_MAX + 100);
  memset(value, ' ', WR_RECORD_BYTES_MAX + 99);
  memcpy(value, "{\"app_id\":\"a\"}", 14);
  value[WR_RECORD_BYTES_MAX + 99] = 0;
  fake_append(&fake, 0, value);
  value[WR_RECORD_BYTES_MAX] = 0;
  fake_append(&fake, 0, value);
  free(value);
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 100), WEIR_OK);
  CHECK_STRING(came(&job), "0:0! 0:1:a");
  CHECK(strstr(job.output.last_dead_error, "too long: it has 16777315 bytes") != NULL);
  end(&job);
}

TEST(configurations) {
  static const struct wr_kafka_setting bad_settings[] = {{"no.such.setting", "1"}, {"same", "1"}, {"same", "2"}};
  struct job job;
  struct wr_node node;
  struct weir_error error;
  begin(&job, 1);
  CHECK_INT(wr_kafka_source_node(&job.config, "in", 1, &node, &error), WEIR_OK);
  CHECK(node.port_count == 2 && node.durable);
  job.config.connection.settings = bad_settings;
  job.config.connection.setting_count = 1;
  CHECK_INT(wr_kafka_source_node(&job.config, "in", 1, &node, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "there is no setting") != NULL);
  job.config.connection.settings = &bad_settings[1];
  job.config.connection.setting_count = 2;
  CHECK_INT(wr_kafka_source_node(&job.config, "in", 1, &node, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "the setting same is given twice") != NULL);
  job.config.connection.setting_count = 0;
  static const char *const topics[] = {"", ".", "a b", "a/b", NULL};
  for (int i = 0; i < 5; i++) {
    job.config.topic = topics[i];
    CHECK_INT(wr_kafka_source_node(&job.config, "in", 1, &node, &error), WEIR_INVALID);
  }
  job.config.topic = "views";
  job.config.position_field = APP;
  CHECK_INT(wr_kafka_source_node(&job.config, "in", 1, &node, &error), WEIR_INVALID);
  CHECK(strstr(error.message, "cannot be the position of a Kafka source") != NULL);
  end(&job);
}

/* ---- event time ---- */

static const struct weir_schema timed_schema = {.fields =
                                                    (const struct weir_field[]){{"partition", WEIR_TYPE_STRING, false},
                                                                                {"position", WEIR_TYPE_BIGINT, false},
                                                                                {"app_id", WEIR_TYPE_STRING, false},
                                                                                {"at", WEIR_TYPE_BIGINT, true}},
                                                .field_count = 4};

TEST(watermarks) {
  struct job job;
  begin(&job, 2);
  job.config.schema = &timed_schema;
  job.config.event_time_field = 3;
  job.config.out_of_orderness_ms = 10;
  job.config.idle_timeout_ms = 500;
  job.output.watermark_ms = -1;
  fake_append(&fake, 0, "{\"app_id\":\"a\",\"at\":1000}");
  fake_append(&fake, 0, "{\"app_id\":\"a\",\"at\":900}");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 300), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, -1); /* partition 1 has said nothing yet */
  fake_append(&fake, 1, "{\"app_id\":\"a\",\"at\":500}");
  CHECK_INT(job_run_for(&job, 150), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, 489);
  CHECK_INT(job_run_for(&job, 200), WEIR_OK); /* partition 0 is idle */
  CHECK_INT(job.output.watermark_ms, 489);
  CHECK_INT(job_run_for(&job, 5000), WEIR_OK);
  CHECK(job.output.idle);
  fake_append(&fake, 0, "{\"app_id\":\"a\",\"at\":4000}");
  CHECK_INT(job_run_for(&job, 5000), WEIR_OK);
  CHECK_INT(job.output.watermark_ms, 3989);
  end(&job);
}

/* ---- back-pressure, teardown, failures ---- */

TEST(a_full_output_holds_back) {
  struct job job;
  begin(&job, 2);
  for (int i = 0; i < 7000; i++)
    append(i % 2, "a");
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  job.output.full = true;
  CHECK_INT(job_run_for(&job, 10000), WEIR_OK);
  CHECK_INT(job.output.count, 0);
  CHECK_INT(fake.assigns, 0);
  job.output.full = false;
  while (job.output.count == 0)
    CHECK_INT(job_run(&job, 1), WEIR_OK);
  CHECK_INT(job_run(&job, 1), WEIR_OK);
  job.output.full = true;
  size_t before = job.output.count;
  CHECK(before > 0 && before < 7000);
  job_snapshot(&job); /* what is built leaves with the barrier, whatever the output says */
  job_kill(&job);
  job.output.full = false;
  CHECK_INT(job_start(&job, 2, false), WEIR_OK);
  CHECK_INT(job_run_for(&job, 1000), WEIR_OK);
  CHECK_INT(job.output.count, 7000);
  end(&job);
}

/* Killed after each number of steps, with whatever call runs then. */
TEST(teardown_while_calls_run) {
  for (int steps = 0; steps < 14; steps++) {
    struct job job;
    begin(&job, 2);
    append(0, "a");
    fake.partitions[0].lies = 1;
    fake.partitions[0].lie = WR_KAFKA_NO_PARTITION;
    CHECK_INT(job_start(&job, 2, false), WEIR_OK);
    CHECK_INT(job_run(&job, steps), WEIR_OK);
    end(&job);
  }
}

/* Every allocation of a run fails once: an error comes out, and nothing leaks. */
TEST(failures) {
  bool failed = true;
  for (uint64_t n = 1; failed; n++) {
    struct job job;
    begin(&job, 2);
    append(0, "a");
    append(0, "a longer name than a view has room for");
    fake_append(&fake, 0, "bad");
    append(1, "b");
    fake.partitions[1].lies = 1;
    fake.partitions[1].lie = WR_KAFKA_OUT_OF_RANGE;
    test_memory_fail_after(&job.files.memory, n, false);
    enum weir_code code = job_start(&job, 2, true);
    if (code == WEIR_OK) code = job_run(&job, 1000);
    bool done = code == WEIR_OK;
    if (done) {
      for (uint32_t i = 0; i < job.parallelism && code == WEIR_OK; i++) {
        uint64_t wake = 0;
        if (job.readers[i]->vtable->before_barrier(job.readers[i], 7, &wake) != WR_RESULT_OK)
          code = job.contexts[i].error.code;
      }
    }
    failed = job.files.memory.failures > 0;
    test_memory_fail_after(&job.files.memory, 0, false);
    if (done) CHECK_INT(job.output.count, 4);
    CHECK(code == WEIR_OK || (code == WEIR_NO_MEMORY && failed)); /* a batch can do without a block of its own */
    end(&job);
  }
}

/* ---- the model ---- */

static void model_append(struct wr_random *random, int partition, uint32_t count) {
  static const char *const bads[] = {"x", "{", "[]", "{\"app_id\":1}", "{\"other\":\"a\"}", ""};
  struct fake_partition *to = &fake.partitions[partition];
  char app[64];
  for (uint32_t i = 0; i < count && to->high < FAKE_RECORDS; i++) {
    uint64_t draw = wr_random_below(random, 100);
    snprintf(app, sizeof app, "%d-%d", partition, (int)to->high);
    if (draw < 80)
      append(partition, app);
    else if (draw < 90)
      fake_append(&fake, partition, fake_hole);
    else
      fake_append(&fake, partition, draw < 92 ? fake_tombstone : bads[draw % 6]);
  }
}

/* Every record of the partition came exactly once, in order, good ones as rows and bad ones as bad. */
static void model_check(const struct job *job, int partition) {
  char app[64], name[12];
  snprintf(name, sizeof name, "%d", partition);
  for (int bad = 0; bad < 2; bad++) {
    int64_t offset = 0;
    size_t at = 0;
    for (; offset < fake.partitions[partition].high; offset++) {
      const char *value = fake.partitions[partition].values[offset];
      snprintf(app, sizeof app, "{\"app_id\":\"%d-%d\"}", partition, (int)offset);
      bool is_bad = strcmp(value, app) != 0;
      if (value == fake_hole || is_bad != bad) continue;
      while (at < job->output.count &&
             (strcmp(job->output.places[at].partition, name) != 0 || job->output.places[at].bad != (bool)bad))
        at++;
      CHECK(at < job->output.count);
      CHECK_INT(job->output.places[at].position, offset);
      at++;
    }
    for (; at < job->output.count; at++)
      CHECK(strcmp(job->output.places[at].partition, name) != 0 || job->output.places[at].bad != (bool)bad);
  }
}

/* Something goes wrong, or is well again. */
static void model_fault(struct wr_random *random) {
  struct fake_partition *partition = &fake.partitions[wr_random_below(random, FAKE_PARTITIONS)];
  static const enum wr_kafka_answer lies[] = {WR_KAFKA_NO_TOPIC, WR_KAFKA_NO_PARTITION, WR_KAFKA_OUT_OF_RANGE,
                                              WR_KAFKA_NOT_ALLOWED};
  switch (wr_random_below(random, 6)) {
  case 0:
    partition->no_leader = true;
    break;
  case 1:
    partition->open = partition->high > 20 ? partition->high - 20 : 0;
    break;
  case 2:
    partition->lies = 1;
    /* A second "not allowed" with nothing in between would rightly be believed. */
    partition->lie = lies[wr_random_below(random, partition->was_denied ? 3 : 4)];
    break;
  case 3:
    fake.is_away = true;
    break;
  default:
    fake.is_away = false;
    for (int p = 0; p < FAKE_PARTITIONS; p++) {
      fake.partitions[p].no_leader = false;
      fake.partitions[p].open = -1;
    }
  }
}

static void model_round(uint64_t seed) {
  struct wr_random random = wr_random_of(seed);
  struct job job;
  begin(&job, 2);
  fake.is_early = wr_random_one_in(&random, 2);
  CHECK_INT(job_start(&job, 1, false), WEIR_OK);
  uint32_t rounds = 20 + (uint32_t)wr_random_below(&random, 30);
  for (uint32_t round = 0; round < rounds; round++) {
    model_append(&random, (int)wr_random_below(&random, fake.partition_count),
                 (uint32_t)wr_random_below(&random, wr_random_one_in(&random, 5) ? 1000 : 30));
    if (wr_random_one_in(&random, 8) && fake.partition_count < FAKE_PARTITIONS) fake.partition_count++;
    if (wr_random_one_in(&random, 2)) model_fault(&random);
    job.output.full = wr_random_one_in(&random, 6);
    CHECK_INT(job_run(&job, (int)wr_random_below(&random, 40)), WEIR_OK);
    job.output.full = false;
    if (wr_random_one_in(&random, 3) && job.enumerator->vtable->is_ready(job.enumerator)) {
      job_snapshot(&job);
      if (wr_random_one_in(&random, 2)) job_complete(&job);
    }
    if (!wr_random_one_in(&random, 4)) continue;
    job_kill(&job);
    CHECK_INT(job_start(&job, 1 + (uint32_t)wr_random_below(&random, PARALLELISM_MAX), false), WEIR_OK);
  }
  fake.is_away = false;
  for (int p = 0; p < FAKE_PARTITIONS; p++) {
    fake.partitions[p].no_leader = false;
    fake.partitions[p].open = -1;
    fake.partitions[p].lies = 0;
  }
  CHECK_INT(job_run_for(&job, 30000), WEIR_OK);
  job_snapshot(&job);
  job_kill(&job);
  CHECK_INT(job_start(&job, 2, true), WEIR_OK);
  CHECK_INT(job_run(&job, 100000), WEIR_OK);
  CHECK(job_is_done(&job));
  for (int p = 0; p < (int)fake.partition_count; p++) {
    model_check(&job, p);
    CHECK_PASSED();
  }
  end(&job);
}

TEST(model) {
  uint64_t seed = test_seed();
  for (uint64_t i = 0; i < 60; i++) {
    model_round(seed + i);
    if (test_failed) fprintf(stderr, "round %d\n", (int)i);
    CHECK_PASSED();
  }
}

TEST_MAIN(TEST_CASE(reads_and_follows), TEST_CASE(an_uncommitted_tail_waits), TEST_CASE(stops),
          TEST_CASE(a_record_behind_the_stop_ends_the_split), TEST_CASE(bounded_needs_all_leaders),
          TEST_CASE(a_partition_without_a_leader_comes_later), TEST_CASE(brokers_that_are_away_are_waited_for),
          TEST_CASE(a_no_is_believed_when_it_stays), TEST_CASE(a_no_that_goes_away_was_nothing),
          TEST_CASE(a_client_that_is_refused_for_no_reason), TEST_CASE(trouble_of_the_client),
          TEST_CASE(another_topic_or_cluster_is_foreign), TEST_CASE(a_restored_partition_needs_a_leader),
          TEST_CASE(commits_come_after_completion), TEST_CASE(metrics_of_partitions),
          TEST_CASE(a_bad_record_fails_the_job), TEST_CASE(values_of_one_fetch), TEST_CASE(a_record_that_is_too_long),
          TEST_CASE(configurations), TEST_CASE(watermarks), TEST_CASE(a_full_output_holds_back),
          TEST_CASE(teardown_while_calls_run), TEST_CASE(failures), TEST_CASE(model))
