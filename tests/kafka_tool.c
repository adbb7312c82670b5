/* tests/kafka_tool.c: what the tests need of a Kafka broker beside weir, by librdkafka and nothing of weir's source.
 *
 *   kafka_tool create-topic BROKERS TOPIC [--partitions N] [--config KEY=VALUE]...
 *   kafka_tool add-partitions BROKERS TOPIC --partitions N       N is the new number of all
 *   kafka_tool delete-topic BROKERS TOPIC
 *   kafka_tool delete-records BROKERS TOPIC [--partition P] --offset O    all before O are gone, as by retention
 *   kafka_tool produce BROKERS TOPIC [OPTION]...                 see below
 *   kafka_tool consume BROKERS TOPIC                             all that is there now, a JSON line per record
 *   kafka_tool offsets BROKERS TOPIC [--group G]    a JSON line per partition: low, high, committed (-1: none)
 *   kafka_tool commit BROKERS TOPIC --group G [--partition P] --offset O
 *   kafka_tool delete-group BROKERS --group G
 *   kafka_tool join BROKERS TOPIC --group G                      a member of it until it is killed; it says "joined"
 *
 * Each takes -X KEY=VALUE, librdkafka's own settings. consume reads committed records only, unless -X
 * isolation.level=read_uncommitted; so does the high of offsets with read_committed.
 *
 * produce sends the lines of standard input, each a value (an empty line is an empty value), or with --count N as many
 * page views {"app_id":...} drawn from --seed S over --apps A with a skew; it ends early, and cleanly, on SIGTERM.
 *   --partition P          to this one; else to any, those included that are added while it runs
 *   --rate R               records a second
 *   --keys, --headers      with a key (the app, or the record's number), with two headers
 *   --tombstone-every N    every N-th record has no value (and a key); --empty-every N: an empty one
 *   --transaction N        in transactions of N records (--transactional-id ID, else the topic), of which --abort-every
 * M aborts each M-th
 *   --leave-open           one more transaction of N records is sent and left open; it says "open" and waits to be
 * killed It is idempotent: a broker that is killed meanwhile loses and doubles nothing. Last it prints what it did, in
 * one line.
 *
 * Exit codes: 0; 1 the broker refused or did not answer, with a sentence; 2 wrong arguments.
 */
#include "base/random.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = 30000, PAIRS_MAX = 32, TEXT_BYTES = 512 };

struct arguments {
  const char *command, *brokers, *topic, *group, *transactional_id;
  const char *settings[PAIRS_MAX], *configs[PAIRS_MAX]; /* KEY=VALUE: of librdkafka, of the topic */
  int setting_count, config_count;
  int64_t partition, partitions, offset; /* -1: not given */
  int64_t count, seed, apps, rate;
  int64_t tombstone_every, empty_every, transaction, abort_every;
  int keys, headers, leave_open;
};

static volatile sig_atomic_t is_stopped; /* SIGTERM came */
static int64_t delivered;                /* records the broker has taken */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fflush(stdout);
  fprintf(stderr, "kafka_tool: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

static void die_on(rd_kafka_resp_err_t code, const char *what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) die("%s: %s", what, rd_kafka_err2str(code));
}

/* ---- arguments ---- */

__attribute__((noreturn)) static void usage(const char *sentence) {
  fprintf(stderr, "kafka_tool: %s; the top of tests/kafka_tool.c says how it is called\n", sentence);
  exit(2);
}

static int64_t number(const char *text) {
  char *end = NULL;
  errno = 0;
  int64_t value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != 0 || value < 0) usage("an option wants a number");
  return value;
}

static void add_pair(const char **pairs, int *count, const char *pair) {
  if (strchr(pair, '=') == NULL) usage("-X and --config want KEY=VALUE");
  if (*count == PAIRS_MAX) usage("too many settings");
  pairs[(*count)++] = pair;
}

/* Splits KEY=VALUE; the key is copied. */
static const char *split_pair(const char *pair, char key[TEXT_BYTES]) {
  const char *equals = strchr(pair, '=');
  snprintf(key, TEXT_BYTES, "%.*s", (int)(equals - pair), pair);
  return equals + 1;
}

static struct arguments read_arguments(int argc, char **argv) {
  struct arguments a = {.partition = -1, .partitions = 1, .offset = -1, .apps = 100};
  struct {
    const char *name;
    int64_t *number;
    const char **text;
  } const rules[] = {{"partition", &a.partition, NULL},
                     {"partitions", &a.partitions, NULL},
                     {"offset", &a.offset, NULL},
                     {"count", &a.count, NULL},
                     {"seed", &a.seed, NULL},
                     {"apps", &a.apps, NULL},
                     {"rate", &a.rate, NULL},
                     {"tombstone-every", &a.tombstone_every, NULL},
                     {"empty-every", &a.empty_every, NULL},
                     {"transaction", &a.transaction, NULL},
                     {"abort-every", &a.abort_every, NULL},
                     {"group", NULL, &a.group},
                     {"transactional-id", NULL, &a.transactional_id}};
  enum { RULES = sizeof rules / sizeof rules[0], CONFIG = RULES, END };
  struct option options[RULES + 5] = {{0}};
  for (int i = 0; i < RULES; i++)
    options[i] = (struct option){rules[i].name, required_argument, NULL, 1000 + i};
  options[CONFIG] = (struct option){"config", required_argument, NULL, 1000 + CONFIG};
  options[END] = (struct option){"keys", no_argument, &a.keys, 1};
  options[END + 1] = (struct option){"headers", no_argument, &a.headers, 1};
  options[END + 2] = (struct option){"leave-open", no_argument, &a.leave_open, 1};
  for (int found; (found = getopt_long(argc, argv, "X:", options, NULL)) != -1;) {
    if (found == 0) continue;
    if (found == 'X') {
      add_pair(a.settings, &a.setting_count, optarg);
    } else if (found == 1000 + CONFIG) {
      add_pair(a.configs, &a.config_count, optarg);
    } else if (found < 1000) {
      usage("there is no such option");
    } else if (rules[found - 1000].text != NULL) {
      *rules[found - 1000].text = optarg;
    } else {
      *rules[found - 1000].number = number(optarg);
    }
  }
  if (argc - optind < 2) usage("COMMAND BROKERS come first");
  a.command = argv[optind];
  a.brokers = argv[optind + 1];
  a.topic = argc - optind > 2 ? argv[optind + 2] : NULL;
  if (a.transactional_id == NULL) a.transactional_id = a.topic;
  return a;
}

/* ---- handles ---- */

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
  char why[TEXT_BYTES];
  if (rd_kafka_conf_set(conf, key, value, why, sizeof why) != RD_KAFKA_CONF_OK) die("%s", why);
}

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *of) {
  (void)kafka;
  (void)of;
  die_on(message->err, "a record was not taken");
  delivered++;
}

static rd_kafka_t *new_handle(const struct arguments *a, rd_kafka_type_t type) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", a->brokers);
  set(conf, "socket.nagle.disable", "true");
  set(conf, "log_level", "2");
  if (type == RD_KAFKA_PRODUCER) {
    set(conf, "enable.idempotence", "true");
    set(conf, "partitioner", "random");
    set(conf, "linger.ms", "5");
    set(conf, "topic.metadata.refresh.interval.ms", "1000");
    set(conf, "message.max.bytes", "100000000");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    if (a->transaction > 0) set(conf, "transactional.id", a->transactional_id);
  } else {
    set(conf, "enable.auto.commit", "false");
    set(conf, "enable.partition.eof", "true");
    set(conf, "group.id", a->group != NULL ? a->group : "kafka-tool");
    set(conf, "fetch.message.max.bytes", "100000000");
    set(conf, "receive.message.max.bytes", "300000000");
    if (strcmp(a->command, "offsets") == 0) set(conf, "isolation.level", "read_uncommitted");
  }
  for (int i = 0; i < a->setting_count; i++) {
    char key[TEXT_BYTES];
    const char *value = split_pair(a->settings[i], key);
    set(conf, key, value);
  }
  char why[TEXT_BYTES];
  rd_kafka_t *kafka = rd_kafka_new(type, conf, why, sizeof why);
  if (kafka == NULL) die("%s", why);
  return kafka;
}

/* All partitions of the topic, with no offset. */
static rd_kafka_topic_partition_list_t *list_partitions(rd_kafka_t *kafka, const struct arguments *a) {
  rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, a->topic, NULL);
  const struct rd_kafka_metadata *metadata = NULL;
  die_on(rd_kafka_metadata(kafka, 0, topic, &metadata, ANSWER_MS), "no metadata");
  die_on(metadata->topics[0].err, a->topic);
  int count = metadata->topics[0].partition_cnt;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
  rd_kafka_topic_partition_list_add_range(list, a->topic, 0, count - 1);
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(topic);
  return list;
}

/* ---- topics and groups ---- */

static void check_topic_results(const rd_kafka_topic_result_t **topics, size_t count, const char *what) {
  for (size_t i = 0; i < count; i++) {
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
    const char *sentence = rd_kafka_topic_result_error_string(topics[i]);
    if (code != 0)
      die("%s %s: %s", what, rd_kafka_topic_result_name(topics[i]), sentence ? sentence : rd_kafka_err2str(code));
  }
}

static void check_result(rd_kafka_event_t *event, const char *what) {
  if (event == NULL) die("%s: no answer within %d s", what, ANSWER_MS / 1000);
  if (rd_kafka_event_error(event) != 0) die("%s: %s", what, rd_kafka_event_error_string(event));
  const rd_kafka_topic_result_t **topics = NULL;
  size_t count = 0;
  switch (rd_kafka_event_type(event)) {
  case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
    topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
    break;
  case RD_KAFKA_EVENT_DELETETOPICS_RESULT:
    topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count);
    break;
  case RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT:
    topics = rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count);
    break;
  case RD_KAFKA_EVENT_DELETERECORDS_RESULT:
    die_on(rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))->elems[0].err, what);
    break;
  default: {
    size_t groups_count = 0;
    const rd_kafka_group_result_t **groups =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(event), &groups_count);
    const rd_kafka_error_t *error = groups_count > 0 ? rd_kafka_group_result_error(groups[0]) : NULL;
    if (error != NULL) die("%s: %s", what, rd_kafka_error_string(error));
  }
  }
  check_topic_results(topics, count, what);
  rd_kafka_event_destroy(event);
}

static void ask_create_topic(rd_kafka_t *kafka, const struct arguments *a, rd_kafka_queue_t *queue) {
  char why[TEXT_BYTES];
  rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(a->topic, (int)a->partitions, 1, why, sizeof why);
  if (topic == NULL) die("%s", why);
  for (int i = 0; i < a->config_count; i++) {
    char key[TEXT_BYTES];
    const char *value = split_pair(a->configs[i], key);
    die_on(rd_kafka_NewTopic_set_config(topic, key, value), key);
  }
  rd_kafka_CreateTopics(kafka, &topic, 1, NULL, queue);
  rd_kafka_NewTopic_destroy(topic);
}

static void ask_add_partitions(rd_kafka_t *kafka, const struct arguments *a, rd_kafka_queue_t *queue) {
  char why[TEXT_BYTES];
  rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(a->topic, (size_t)a->partitions, why, sizeof why);
  if (more == NULL) die("%s", why);
  rd_kafka_CreatePartitions(kafka, &more, 1, NULL, queue);
  rd_kafka_NewPartitions_destroy(more);
}

static void ask_delete_records(rd_kafka_t *kafka, const struct arguments *a, rd_kafka_queue_t *queue) {
  rd_kafka_topic_partition_list_t *before = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(before, a->topic, a->partition < 0 ? 0 : (int32_t)a->partition)->offset = a->offset;
  rd_kafka_DeleteRecords_t *records = rd_kafka_DeleteRecords_new(before);
  rd_kafka_DeleteRecords(kafka, &records, 1, NULL, queue);
  rd_kafka_DeleteRecords_destroy(records);
  rd_kafka_topic_partition_list_destroy(before);
}

/* True when the topic has (or, wanted = 0, has not) so many partitions by now, for those who ask next. */
static bool shows(rd_kafka_t *kafka, const char *name, int wanted) {
  rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, name, NULL);
  const struct rd_kafka_metadata *metadata = NULL;
  die_on(rd_kafka_metadata(kafka, 0, topic, &metadata, ANSWER_MS), "no metadata");
  bool is_shown = metadata->topics[0].partition_cnt == wanted;
  for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
    is_shown = is_shown && metadata->topics[0].partitions[i].leader >= 0;
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(topic);
  return is_shown;
}

static void change(const struct arguments *a) {
  rd_kafka_t *kafka = new_handle(a, RD_KAFKA_CONSUMER);
  rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
  int wanted = (int)a->partitions;
  if (strcmp(a->command, "create-topic") == 0) {
    ask_create_topic(kafka, a, queue);
  } else if (strcmp(a->command, "add-partitions") == 0) {
    ask_add_partitions(kafka, a, queue);
  } else if (strcmp(a->command, "delete-topic") == 0) {
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(a->topic);
    rd_kafka_DeleteTopics(kafka, &topic, 1, NULL, queue);
    rd_kafka_DeleteTopic_destroy(topic);
    wanted = 0;
  } else if (strcmp(a->command, "delete-records") == 0) {
    ask_delete_records(kafka, a, queue);
    wanted = -1;
  } else {
    rd_kafka_DeleteGroup_t *group = rd_kafka_DeleteGroup_new(a->group);
    rd_kafka_DeleteGroups(kafka, &group, 1, NULL, queue);
    rd_kafka_DeleteGroup_destroy(group);
    wanted = -1;
  }
  check_result(rd_kafka_queue_poll(queue, ANSWER_MS), a->command);
  for (int tries = 0; wanted >= 0 && !shows(kafka, a->topic, wanted); tries++) {
    if (tries == 200) die("%s was done, and does not show after 10 s", a->command);
    usleep(50000);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_destroy(kafka);
}

static void show_offsets(const struct arguments *a) {
  rd_kafka_t *kafka = new_handle(a, RD_KAFKA_CONSUMER);
  rd_kafka_topic_partition_list_t *list = list_partitions(kafka, a);
  if (a->group != NULL) die_on(rd_kafka_committed(kafka, list, ANSWER_MS), "no committed offsets");
  for (int i = 0; i < list->cnt; i++) {
    int64_t low = -1, high = -1;
    die_on(rd_kafka_query_watermark_offsets(kafka, a->topic, i, &low, &high, ANSWER_MS), "no offsets");
    int64_t committed = a->group != NULL && list->elems[i].offset >= 0 ? list->elems[i].offset : -1;
    printf("{\"partition\":%d,\"low\":%" PRId64 ",\"high\":%" PRId64 ",\"committed\":%" PRId64 "}\n", i, low, high,
           committed);
  }
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(kafka);
}

static void commit_offset(const struct arguments *a) {
  rd_kafka_t *kafka = new_handle(a, RD_KAFKA_CONSUMER);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, a->topic, a->partition < 0 ? 0 : (int32_t)a->partition)->offset = a->offset;
  die_on(rd_kafka_commit(kafka, list, 0), "the offset was not committed");
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(kafka);
}

/* ---- join ---- */

static void join(const struct arguments *a) {
  rd_kafka_t *kafka = new_handle(a, RD_KAFKA_CONSUMER);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, a->topic, RD_KAFKA_PARTITION_UA);
  rd_kafka_poll_set_consumer(kafka);
  die_on(rd_kafka_subscribe(kafka, list), "the topic was not subscribed to");
  rd_kafka_topic_partition_list_destroy(list);
  for (bool is_member = false;;) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, 100);
    if (message != NULL) rd_kafka_message_destroy(message);
    if (is_member) continue;
    die_on(rd_kafka_assignment(kafka, &list), "no assignment");
    is_member = list->cnt > 0;
    rd_kafka_topic_partition_list_destroy(list);
    if (is_member) printf("joined\n");
    if (is_member) fflush(stdout);
  }
}

/* ---- consume ---- */

static void print_text(const void *bytes, size_t length) {
  if (bytes == NULL) {
    fputs("null", stdout);
    return;
  }
  putchar('"');
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = ((const unsigned char *)bytes)[i];
    if (byte < 0x20) {
      printf("\\u%04x", byte);
    } else {
      if (byte == '"' || byte == '\\') putchar('\\');
      putchar(byte);
    }
  }
  putchar('"');
}

/* An empty value is told from none by its pointer, which librdkafka leaves at NULL for a tombstone only. */
static void print_record(const rd_kafka_message_t *message) {
  printf("{\"partition\":%d,\"offset\":%" PRId64 ",\"key\":", message->partition, message->offset);
  print_text(message->key, message->key_len);
  fputs(",\"value\":", stdout);
  print_text(message->payload, message->len);
  fputs("}\n", stdout);
}

static void consume(const struct arguments *a) {
  rd_kafka_t *kafka = new_handle(a, RD_KAFKA_CONSUMER);
  rd_kafka_topic_partition_list_t *list = list_partitions(kafka, a);
  for (int i = 0; i < list->cnt; i++)
    list->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
  die_on(rd_kafka_assign(kafka, list), "the partitions were not assigned");
  int open = list->cnt;
  bool *is_done = calloc((size_t)open, sizeof *is_done);
  if (is_done == NULL) die("out of memory");
  while (open > 0) {
    rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, ANSWER_MS);
    if (message == NULL) die("no record for %d s, and %d partitions have not ended", ANSWER_MS / 1000, open);
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      open -= !is_done[message->partition]; /* the end may be told of more than once */
      is_done[message->partition] = true;
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      print_record(message);
    } else {
      die("%s", rd_kafka_message_errstr(message));
    }
    rd_kafka_message_destroy(message);
  }
  free(is_done);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(kafka);
}

/* ---- produce ---- */

struct producer {
  const struct arguments *arguments;
  rd_kafka_t *kafka;
  rd_kafka_topic_t *topic;
  struct wr_random random;
  char *line; /* of standard input */
  size_t line_bytes;
  int64_t sent, in_transaction, transactions,
      aborted; /* records; records of the open one; ended ones; records aborted */
  struct timespec begin;
};

static void on_signal(int signal) {
  (void)signal;
  is_stopped = 1;
}

static bool is_each(int64_t every, int64_t count) {
  return every > 0 && count % every == every - 1;
}

/* The next value, and a key for it; false: there is none. Both are valid until the next call. */
static bool next_record(struct producer *p, const char **out_value, size_t *out_bytes, char key[TEXT_BYTES]) {
  const struct arguments *a = p->arguments;
  if (is_stopped) return false;
  if (a->count == 0) {
    ssize_t length = getline(&p->line, &p->line_bytes, stdin);
    if (length < 0) return false;
    if (length > 0 && p->line[length - 1] == '\n') length--;
    snprintf(key, TEXT_BYTES, "%" PRId64, p->sent);
    *out_value = p->line;
    *out_bytes = (size_t)length;
    return true;
  }
  if (p->sent >= a->count) return false;
  static char text[TEXT_BYTES];
  double draw = (double)(wr_random_next(&p->random) >> 11) / 9007199254740992.0;
  snprintf(key, TEXT_BYTES, "app%" PRId64, (int64_t)((double)a->apps * draw * draw * draw));
  *out_value = text;
  *out_bytes = (size_t)snprintf(
      text, sizeof text, "{\"n\":%" PRId64 ",\"app_id\":\"%s\",\"url\":\"/page/%" PRIu64 "?q=\\u00e9\",\"ms\":%d.5}",
      p->sent, key, wr_random_below(&p->random, 100000), (int)(draw * 1000));
  return true;
}

static void keep_rate(const struct producer *p) {
  if (p->arguments->rate == 0 || p->sent % 10 != 0) return;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double passed_s = (double)(now.tv_sec - p->begin.tv_sec) + (double)(now.tv_nsec - p->begin.tv_nsec) / 1e9;
  double early_s = (double)p->sent / (double)p->arguments->rate - passed_s;
  if (early_s > 0 && !is_stopped) usleep((useconds_t)(fmin(early_s, 0.5) * 1e6));
}

static void send_record(struct producer *p, const char *value, size_t bytes, const char *key) {
  const struct arguments *a = p->arguments;
  bool is_tombstone = is_each(a->tombstone_every, p->sent);
  if (is_tombstone) value = NULL;
  if (is_tombstone || is_each(a->empty_every, p->sent)) bytes = 0;
  rd_kafka_vu_t parts[8] = {{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = p->topic},
                            {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = (int32_t)a->partition},
                            {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
                            {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.ptr = (void *)(uintptr_t)value, .size = bytes}}};
  size_t count = 4;
  if (a->keys || is_tombstone)
    parts[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key, strlen(key)}};
  if (a->headers) {
    parts[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"from", "kafka_tool", -1}};
    parts[count++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER, .u.header = {"nothing", NULL, 0}};
  }
  rd_kafka_error_t *error;
  while ((error = rd_kafka_produceva(p->kafka, parts, count)) != NULL &&
         rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
    rd_kafka_error_destroy(error); /* room comes by serving delivery reports, which a blocking call would not do */
    rd_kafka_poll(p->kafka, 100);
  }
  if (error != NULL) die("record %" PRId64 ": %s", p->sent, rd_kafka_error_string(error));
  p->sent++;
  if (p->sent % 100 == 0 || bytes > 100000) rd_kafka_poll(p->kafka, 0);
  keep_rate(p);
}

static void flush_all(struct producer *p) {
  while (rd_kafka_flush(p->kafka, 1000) != RD_KAFKA_RESP_ERR_NO_ERROR)
    ; /* each record has its own time limit, and its delivery report ends the program */
}

/* Calls again what may be called again: a broker that was killed comes back. */
static void end_transaction(struct producer *p, bool is_abort) {
  if (is_abort) flush_all(p); /* an abort would purge what is queued still, and leave no hole in the log */
  for (int tries = 0;; tries++) {
    rd_kafka_error_t *error =
        is_abort ? rd_kafka_abort_transaction(p->kafka, ANSWER_MS) : rd_kafka_commit_transaction(p->kafka, ANSWER_MS);
    if (error == NULL) break;
    if (!rd_kafka_error_is_retriable(error) || tries == 10)
      die("a transaction was not %s: %s", is_abort ? "aborted" : "committed", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
  }
  if (is_abort) p->aborted += p->in_transaction;
  p->in_transaction = 0;
  p->transactions++;
}

static void begin_transaction(struct producer *p) {
  rd_kafka_error_t *error = rd_kafka_begin_transaction(p->kafka);
  if (error != NULL) die("no transaction: %s", rd_kafka_error_string(error));
}

static void leave_open(struct producer *p) {
  begin_transaction(p);
  for (int64_t i = 0; i < p->arguments->transaction; i++) {
    static const char value[] = "{\"app_id\":\"never committed\"}";
    send_record(p, value, sizeof value - 1, "open");
  }
  flush_all(p);
  printf("open\n");
  fflush(stdout);
  for (;;)
    pause();
}

static void produce(const struct arguments *a) {
  struct producer p = {
      .arguments = a, .kafka = new_handle(a, RD_KAFKA_PRODUCER), .random = wr_random_of((uint64_t)a->seed)};
  struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: a read of standard input ends too */
  sigaction(SIGTERM, &action, NULL);
  clock_gettime(CLOCK_MONOTONIC, &p.begin);
  p.topic = rd_kafka_topic_new(p.kafka, a->topic, NULL);
  rd_kafka_topic_partition_list_destroy(list_partitions(p.kafka, a));
  if (a->transaction > 0) {
    rd_kafka_error_t *error = rd_kafka_init_transactions(p.kafka, ANSWER_MS);
    if (error != NULL) die("no transactions: %s", rd_kafka_error_string(error));
  }
  const char *value = NULL;
  size_t bytes = 0;
  char key[TEXT_BYTES];
  while (next_record(&p, &value, &bytes, key)) {
    if (a->transaction > 0 && p.in_transaction == 0) begin_transaction(&p);
    send_record(&p, value, bytes, key);
    if (a->transaction > 0 && ++p.in_transaction == a->transaction)
      end_transaction(&p, is_each(a->abort_every, p.transactions));
  }
  if (p.in_transaction > 0) end_transaction(&p, is_each(a->abort_every, p.transactions));
  if (a->leave_open) {
    signal(SIGTERM, SIG_DFL);
    leave_open(&p);
  }
  flush_all(&p);
  printf("{\"sent\":%" PRId64 ",\"delivered\":%" PRId64 ",\"aborted\":%" PRId64 ",\"transactions\":%" PRId64 "}\n",
         p.sent, delivered, p.aborted, p.transactions);
  rd_kafka_topic_destroy(p.topic);
  rd_kafka_destroy(p.kafka);
  free(p.line);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(const struct arguments *);
    bool wants_topic, wants_offset, wants_group;
  } commands[] = {{"create-topic", change, true, false, false},  {"add-partitions", change, true, false, false},
                  {"delete-topic", change, true, false, false},  {"delete-records", change, true, true, false},
                  {"produce", produce, true, false, false},      {"consume", consume, true, false, false},
                  {"offsets", show_offsets, true, false, false}, {"commit", commit_offset, true, true, true},
                  {"delete-group", change, false, false, true},  {"join", join, true, false, true}};
  const struct arguments a = read_arguments(argc, argv);
  if (a.leave_open && a.transaction == 0) usage("--leave-open wants --transaction N");
  for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
    if (strcmp(commands[i].name, a.command) != 0) continue;
    if (commands[i].wants_topic && a.topic == NULL) usage("this command wants BROKERS TOPIC");
    if (commands[i].wants_offset && a.offset < 0) usage("this command wants --offset");
    if (commands[i].wants_group && a.group == NULL) usage("this command wants --group");
    commands[i].run(&a);
    return fflush(stdout) == 0 ? 0 : 1;
  }
  usage("there is no such command");
}
