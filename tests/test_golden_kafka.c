/* tests/test_golden_kafka.c: the golden folder of a job that reads a Kafka topic, restored (tests/golden/kafka-v1).
 *
 * The job counts records per app into an SQLite table. Its folder and its table were written when the first KEPT
 * records of each of two partitions had been read. Here copies of both go on with a topic (test_kafka_fake.h) whose
 * first records are no JSON any more: only positions that were restored keep the job from them, and only counts that
 * were restored make the table right. */
#include "api/api_int.h"
#include "base/test.h"
#include "connectors/kafka/test_kafka_fake.h"
#include "weir/weir.h"

#include <sqlite3.h>
#include <time.h>

enum { PARTITIONS = 2, KEPT = 60, RECORDS = 100, APPS = 7, HOLE = 30 };

static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 1};

static struct fake fake;

static int app_of(int partition, int offset) {
  return (partition * 3 + offset * offset) % APPS;
}

/* The records from `first` on; before it there is what nobody may read. Offset HOLE has no record. */
static void fill(int first) {
  fake_init(&fake, PARTITIONS);
  for (int partition = 0; partition < PARTITIONS; partition++) {
    for (int offset = 0; offset < (first == 0 ? KEPT : RECORDS); offset++) {
      char value[64];
      snprintf(value, sizeof value, "{\"app_id\":\"app%d\",\"n\":%d}", app_of(partition, offset), offset);
      fake_append(&fake, partition, offset == HOLE ? fake_hole : offset < first ? "read before" : value);
    }
  }
}

struct run {
  struct weir_job_builder *builder;
  struct weir_options *options;
  struct weir_job *job;
};

static void begin(struct run *run, const char *folder, bool bounded) {
  static const char *const key_fields[] = {"app_id"};
  const struct weir_kafka_options kafka = {
      .size = sizeof kafka, .servers = "broker:9092", .topic = "views", .schema = &schema};
  struct weir_error error = {.code = WEIR_OK};
  char state[300], sink[300];
  snprintf(state, sizeof state, "%s/state", folder);
  snprintf(sink, sizeof sink, "sqlite:%s/pv.db", folder);
  *run = (struct run){.builder = NULL};
  CHECK_INT(weir_job_builder_new("golden", &run->builder, &error), WEIR_OK);
  CHECK_INT(weir_options_new(&run->options, &error), WEIR_OK);
  CHECK_INT(weir_options_set(run->options, "state", state, &error), WEIR_OK);
  CHECK_INT(weir_options_set(run->options, "sink", sink, &error), WEIR_OK);
  CHECK_INT(weir_options_set(run->options, "parallelism", "2", &error), WEIR_OK);
  if (bounded) CHECK_INT(weir_options_set(run->options, "bounded", "true", &error), WEIR_OK);
  struct weir_stream *views = wr_kafka_source_with(run->builder, "views", &kafka, &fake.driver);
  struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", "pv", key_fields, 1, run->options);
  CHECK_INT(weir_job_start(run->builder, run->options, &run->job, &error), WEIR_OK);
  if (run->job == NULL) TEST_FAIL("%s", error.message);
}

/* Waits for its end, by itself or stopped; it has read so many records in its life. */
static void end(struct run *run, uint64_t records) {
  struct weir_error error = {.code = WEIR_OK};
  if (run->job != NULL) {
    weir_job_wait(run->job, -1);
    CHECK_INT(weir_job_result(run->job, &error), WEIR_OK);
    if (error.code != WEIR_OK) fprintf(stderr, "%s\n", error.message);
    struct weir_job_status status = {.size = sizeof status};
    weir_job_read_status(run->job, &status);
    CHECK_INT(status.source_records, records);
  }
  weir_job_free(&run->job);
  weir_job_builder_free(&run->builder);
  weir_options_free(&run->options);
  fake_deinit(&fake);
}

/* The table has the first `count` offsets of each partition, each once. */
static void compare(const char *folder, int count) {
  int64_t expected[APPS] = {0}, total = 0;
  for (int partition = 0; partition < PARTITIONS; partition++)
    for (int offset = 0; offset < count; offset++)
      expected[app_of(partition, offset)] += offset != HOLE;
  char path[300];
  snprintf(path, sizeof path, "%s/pv.db", folder);
  sqlite3 *database = NULL;
  sqlite3_stmt *statement = NULL;
  CHECK_INT(sqlite3_open_v2(path, &database, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  CHECK_INT(sqlite3_prepare_v2(database, "SELECT app_id, pv FROM pv", -1, &statement, NULL), SQLITE_OK);
  while (sqlite3_step(statement) == SQLITE_ROW) {
    long app = strtol((const char *)sqlite3_column_text(statement, 0) + 3, NULL, 10);
    CHECK(app >= 0 && app < APPS);
    CHECK_INT(sqlite3_column_int64(statement, 1), expected[app]);
    total += expected[app];
  }
  CHECK_INT(total, PARTITIONS * (count - 1));
  sqlite3_finalize(statement);
  sqlite3_close(database);
}

static void copy(const char *from, const char *to) {
  char command[700];
  snprintf(command, sizeof command, "cp -r '%s/.' '%s/' && chmod -R u+w '%s'", from, to, to);
  CHECK_INT(system(command), 0);
}

/* For the folder of a new version only; the one that is there stays as it is. */
static void write_golden(const char *golden, const char *folder) {
  struct run run;
  fill(0);
  begin(&run, folder, false);
  CHECK_PASSED();
  struct weir_job_status status = {.size = sizeof status};
  do {
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    weir_job_read_status(run.job, &status);
  } while (!status.is_over && status.source_records < PARTITIONS * (KEPT - 1));
  weir_job_stop(run.job);
  end(&run, PARTITIONS * (KEPT - 1));
  compare(folder, KEPT);
  char command[1000];
  snprintf(command, sizeof command,
           "mkdir -p '%s/state' && cp '%s/pv.db' '%s' && cp '%s'/state/chk-* '%s'/state/JOB '%s/state'", golden, folder,
           golden, folder, folder, golden);
  CHECK_INT(system(command), 0);
}

TEST(goes_on_from_the_golden_folder) {
  char golden[200], folder[] = "/tmp/weir-test-golden-XXXXXX", command[300];
  snprintf(golden, sizeof golden, "%s/tests/golden/kafka-v1", WEIR_ROOT);
  CHECK(mkdtemp(folder) != NULL);
  if (getenv("WEIR_WRITE_GOLDEN_KAFKA") != NULL)
    write_golden(golden, folder);
  else
    copy(golden, folder);
  CHECK_PASSED();
  compare(folder, KEPT);
  struct run run;
  fill(KEPT);
  begin(&run, folder, true);
  end(&run, PARTITIONS * (RECORDS - 1));
  CHECK_PASSED();
  compare(folder, RECORDS);
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  CHECK_INT(system(command), 0);
}

TEST_MAIN(TEST_CASE(goes_on_from_the_golden_folder))
