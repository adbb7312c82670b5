/* cli/demo_topic.c: a real Kafka broker, and a topic that has what the log's files have, record by record.
 *
 * The broker is started, killed and started again by tools/servers/kafka.sh. Each partition has a producer of its own
 * (build/.../tests/kafka_tool, which is idempotent and survives the broker's death), fed through a pipe with the bytes
 * of the partition's file; so a record's offset is its number in the file. The pipe is filled as far as it takes, and
 * no further: a broker that is away holds up nothing here. */
#include "cli/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024, WORDS_MAX = 12, FEED_SECONDS_MAX = 120 };

struct demo_broker {
  struct demo *demo;
  char script[WR_PATH_BYTES_MAX], tool[WR_PATH_BYTES_MAX], folder[WR_PATH_BYTES_MAX], log[WR_PATH_BYTES_MAX];
  char servers[32];
  pid_t restart; /* of the script that starts it again; 0: it runs */
  uint64_t killed_ns;
};

struct demo_topic {
  struct demo_broker *broker;
  struct demo_feed {
    pid_t producer;
    int pipe;      /* its standard input; -1: closed */
    uint64_t sent; /* bytes of the file */
  } feeds[DEMO_PARTITIONS];
  char buffer[PIECE_BYTES];
};

/* ---- the broker ---- */

/* Runs a program to its end. */
static enum weir_code run(struct demo_broker *broker, const char *const *words, struct weir_error *error) {
  pid_t process;
  int exit_code = 0;
  WR_TRY(demo_spawn(words, -1, broker->log, &process, error));
  while (!demo_has_ended(process, false, &exit_code))
    if (!demo_tick(broker->demo)) kill(process, SIGTERM);
  if (exit_code == 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "%s %s has failed (exit code %d); %s says why", words[0], words[1], exit_code,
                 broker->log);
}

static enum weir_code read_port(struct demo_broker *broker, struct weir_error *error) {
  char path[WR_PATH_BYTES_MAX + 8];
  uint8_t *text = NULL;
  size_t length = 0;
  demo_path(path, sizeof path, "%s/port", broker->folder);
  struct wr_memory *memory = &broker->demo->heap.memory;
  WR_TRY(wr_file_load(broker->demo->files, path, 16, memory, WR_MEMORY_USER, &text, &length, error));
  demo_path(broker->servers, sizeof broker->servers, "127.0.0.1:%.*s", (int)strcspn((const char *)text, "\n"), text);
  wr_free(memory, text);
  return WEIR_OK;
}

enum weir_code demo_broker_new(struct demo *demo, struct demo_broker **out_broker, struct weir_error *error) {
  struct demo_broker *broker = wr_alloc_zeroed(&demo->heap.memory, 1, sizeof *broker, WR_MEMORY_USER);
  if (broker == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a broker");
  *out_broker = broker;
  broker->demo = demo;
  /* programs is BUILD/examples, and BUILD is ROOT/build/release. */
  demo_path(broker->script, sizeof broker->script, "%.*s/../../../tools/servers/kafka.sh", WR_PATH_BYTES_MAX / 2,
            demo->programs);
  demo_path(broker->tool, sizeof broker->tool, "%.*s/../tests/kafka_tool", WR_PATH_BYTES_MAX / 2, demo->programs);
  demo_path(broker->folder, sizeof broker->folder, "%.*s/broker", WR_PATH_BYTES_MAX / 2, demo->folder);
  demo_path(broker->log, sizeof broker->log, "%.*s/broker.log", WR_PATH_BYTES_MAX / 2, demo->folder);
  const char *words[] = {broker->script, "start", broker->folder, NULL};
  uint64_t begun_ns = demo_now_ns(demo);
  demo_progress(demo, "  a Kafka broker is started");
  WR_TRY(run(broker, words, error));
  WR_TRY(read_port(broker, error));
  demo_say(demo, "\nA Kafka broker runs at %s; it took %.1f s to answer.", broker->servers,
           (double)(demo_now_ns(demo) - begun_ns) / 1e9);
  return WEIR_OK;
}

enum weir_code demo_broker_kill(struct demo_broker *broker, struct weir_error *error) {
  const char *end[] = {broker->script, "kill", broker->folder, NULL};
  const char *begin[] = {broker->script, "restart", broker->folder, NULL};
  broker->killed_ns = demo_now_ns(broker->demo);
  WR_TRY(run(broker, end, error));
  return demo_spawn(begin, -1, broker->log, &broker->restart, error);
}

enum weir_code demo_broker_look(struct demo_broker *broker, bool *out_is_away, double *out_away_s,
                                struct weir_error *error) {
  int exit_code = 0;
  *out_away_s = 0;
  *out_is_away = broker->restart != 0 && !demo_has_ended(broker->restart, false, &exit_code);
  if (broker->restart == 0 || *out_is_away) return WEIR_OK;
  broker->restart = 0;
  *out_away_s = (double)(demo_now_ns(broker->demo) - broker->killed_ns) / 1e9;
  if (exit_code == 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "the broker does not start again (exit code %d); %s says why", exit_code, broker->log);
}

void demo_broker_free(struct demo_broker *broker) {
  int ignored;
  if (broker == NULL) return;
  const char *words[] = {broker->script, "kill", broker->folder, NULL};
  pid_t process;
  if (broker->restart != 0) (void)demo_has_ended(broker->restart, true, &ignored);
  if (demo_spawn(words, -1, broker->log, &process, NULL) == WEIR_OK) (void)demo_has_ended(process, true, &ignored);
  wr_free(&broker->demo->heap.memory, broker);
}

/* ---- the topic ---- */

static enum weir_code start_producer(struct demo_topic *topic, const char *name, int partition,
                                     struct weir_error *error) {
  struct demo_broker *broker = topic->broker;
  struct demo_feed *feed = &topic->feeds[partition];
  char number[16];
  int ends[2];
  demo_path(number, sizeof number, "%d", partition);
  if (pipe2(ends, O_CLOEXEC) != 0) return WR_FAIL(error, WEIR_IO, "no pipe: %s", strerror(errno));
  const char *words[] = {
      broker->tool, "produce", broker->servers, name, "--partition", number, "-X", "reconnect.backoff.max.ms=500",
      NULL};
  enum weir_code code = demo_spawn(words, ends[0], broker->log, &feed->producer, error);
  close(ends[0]); /* tidy: call: a pipe to a child is no file of the seams */
  feed->pipe = ends[1];
  if (code == WEIR_OK && fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0)
    code = WR_FAIL(error, WEIR_IO, "a pipe waits: %s", strerror(errno));
  return code;
}

enum weir_code demo_topic_new(struct demo_log *log, const char *name, struct weir_error *error) {
  struct demo_broker *broker = log->demo->broker;
  char count[16];
  log->topic = wr_alloc_zeroed(&log->demo->heap.memory, 1, sizeof *log->topic, WR_MEMORY_USER);
  if (log->topic == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "no memory for a topic");
  log->topic->broker = broker;
  for (int p = 0; p < DEMO_PARTITIONS; p++)
    log->topic->feeds[p].pipe = -1;
  demo_path(count, sizeof count, "%d", DEMO_PARTITIONS);
  const char *words[] = {broker->tool, "create-topic", broker->servers, name, "--partitions", count, NULL};
  WR_TRY(run(broker, words, error));
  for (int p = 0; p < DEMO_PARTITIONS; p++)
    WR_TRY(start_producer(log->topic, name, p, error));
  demo_path(log->source, sizeof log->source, "kafka://%s/%s", broker->servers, name);
  return WEIR_OK;
}

/* *out_moved: the pipe has taken something. */
static enum weir_code feed_some(struct demo_log *log, int partition, bool *out_moved, struct weir_error *error) {
  struct demo_feed *feed = &log->topic->feeds[partition];
  uint64_t end = log->partitions[partition].written * DEMO_RECORD_BYTES;
  *out_moved = false;
  if (feed->pipe < 0 || feed->sent == end) return WEIR_OK;
  size_t length = end - feed->sent < PIECE_BYTES ? (size_t)(end - feed->sent) : PIECE_BYTES;
  WR_TRY(wr_file_read_all(log->demo->files, log->partitions[partition].file, feed->sent, log->topic->buffer, length,
                          error));
  ssize_t taken = write(feed->pipe, log->topic->buffer, length); /* tidy: call: as above */
  if (taken < 0 && errno != EAGAIN && errno != EINTR)
    return WR_FAIL(error, WEIR_IO, "the producer of partition %d takes no more: %s", partition, strerror(errno));
  *out_moved = taken > 0;
  feed->sent += taken > 0 ? (uint64_t)taken : 0;
  return WEIR_OK;
}

/* All was fed: the producer delivers what it has, and ends. */
static enum weir_code finish(struct demo_log *log, int partition, struct weir_error *error) {
  struct demo_feed *feed = &log->topic->feeds[partition];
  int exit_code = 0;
  if (feed->pipe < 0) return WEIR_OK;
  close(feed->pipe); /* tidy: call: as above */
  feed->pipe = -1;
  while (!demo_has_ended(feed->producer, false, &exit_code))
    if (!demo_tick(log->demo)) kill(feed->producer, SIGKILL);
  feed->producer = 0;
  if (exit_code == 0) return WEIR_OK;
  return WR_FAIL(error, WEIR_IO, "the producer of partition %d has failed (exit code %d); %s says why", partition,
                 exit_code, log->topic->broker->log);
}

enum weir_code demo_topic_feed(struct demo_log *log, bool all, struct weir_error *error) {
  uint64_t begun_ns = demo_now_ns(log->demo);
  bool moved = true, is_complete = false;
  while (moved || (all && !is_complete)) {
    moved = false;
    is_complete = true;
    for (int p = 0; p < DEMO_PARTITIONS; p++) {
      bool some = false;
      WR_TRY(feed_some(log, p, &some, error));
      moved = moved || some;
      is_complete = is_complete && log->topic->feeds[p].sent == log->partitions[p].written * DEMO_RECORD_BYTES;
    }
    if (!moved && all && !is_complete && !demo_tick(log->demo)) return WEIR_OK;
    if (demo_now_ns(log->demo) - begun_ns > FEED_SECONDS_MAX * 1000000000ull)
      return WR_FAIL(error, WEIR_TIMEOUT, "the topic has not taken its records within %d s; %s says why",
                     FEED_SECONDS_MAX, log->topic->broker->log);
  }
  for (int p = 0; all && p < DEMO_PARTITIONS; p++)
    WR_TRY(finish(log, p, error));
  return WEIR_OK;
}

void demo_topic_free(struct demo_log *log) {
  int ignored;
  if (log->topic == NULL) return;
  for (int p = 0; p < DEMO_PARTITIONS; p++) {
    struct demo_feed *feed = &log->topic->feeds[p];
    if (feed->pipe >= 0) close(feed->pipe); /* tidy: call: as above */
    if (feed->producer == 0) continue;
    kill(feed->producer, SIGKILL);
    (void)demo_has_ended(feed->producer, true, &ignored);
  }
  wr_free(&log->demo->heap.memory, log->topic);
  log->topic = NULL;
}
