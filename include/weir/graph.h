/* weir/graph.h: what a job is made of: sources, operators, sinks, and the streams between them. One thread.
 *
 * A builder collects the job graph. A *stream* is what leaves a source or an operator: rows of one schema. Streams
 * belong to their builder and are never freed by the caller; one stream may lead to several operators.
 *
 * Errors: the first one is remembered by the builder; the functions that fail return NULL, those that get a NULL stream
 * do nothing, and weir_job_builder_check and weir_job_start return that error. So a graph is built without a test per
 * line:
 *
 * ```c
 * static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
 * static const struct weir_schema schema = {fields, 1};
 * struct weir_job_builder *builder = NULL;
 * struct weir_error error;
 * if (weir_job_builder_new("pv", &builder, &error) != WEIR_OK) return 1;
 * struct weir_files_options files = {.size = sizeof files, .folder = "views", .schema = &schema};
 * struct weir_stream *views = weir_files_source(builder, "views", &files);
 * struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
 * weir_print_sink(counts, "out");
 * enum weir_code code = weir_job_builder_check(builder, &error);
 * weir_job_builder_free(&builder);
 * return weir_code_exit(code);
 * ```
 *
 * Every source, operator and sink has a uid: 1 to 120 of the characters A-Z a-z 0-9 . _ -, unlike all others of the
 * job. What it stores is found again by it, after any change of the program; so never change it, and never give it to
 * another. Texts, schemas and options that are passed in are copied, except where it says "borrowed".
 */
#ifndef WEIR_GRAPH_H
#define WEIR_GRAPH_H

#include "weir/operator.h"
#include "weir/options.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_job_builder;
struct weir_stream;

/* `name` is the job's: 1 to 255 of the characters A-Z a-z 0-9 . _ -; sinks know the job by it. NO_MEMORY, INVALID. */
enum weir_code weir_job_builder_new(const char *name, struct weir_job_builder **out_builder, struct weir_error *error);
/* Frees the builder and its streams, and sets *builder to NULL. Jobs that were started from it must have been freed. */
void weir_job_builder_free(struct weir_job_builder **builder);
/* The first error there was; else what is wrong with the graph as a whole (INVALID). */
enum weir_code weir_job_builder_check(struct weir_job_builder *builder, struct weir_error *error);
/* The schema of a stream's rows, as long as the builder; NULL for NULL. */
const struct weir_schema *weir_stream_schema(const struct weir_stream *stream);

/* One option of a connector, by name: docs/connectors.md has them all. The fields of the structs below are options too,
 * and what is said by both is said twice, which is an error. A field that is 0 or NULL says nothing. */
struct weir_setting {
  const char *key, *value;
};

/* ---- sources ---- */

/* A folder of NDJSON files that may grow; each *.ndjson file is a partition. Zero what is not needed. */
struct weir_files_options {
  size_t size; /* sizeof(struct weir_files_options) */
  const char *folder;
  const struct weir_schema *schema; /* fields of the JSON objects by name, and the two below where they are named */
  const char *partition_field;      /* a STRING field that holds the file's name; NULL: none */
  const char *position_field;       /* a BIGINT field that holds the record's number in its file, from 0; NULL: none */
  const char *event_time_field;     /* a TIMESTAMP, or a BIGINT of milliseconds since 1970; NULL: no watermarks */
  int64_t out_of_orderness_ms;      /* how much later than others a record may come, in event time */
  int64_t idle_timeout_ms;          /* a file without records for so long holds back no watermark; 0: never */
  bool skip_bad_records;            /* a bad record goes to the dead-letter file; false: it fails the job */
  const char *dead_letter;          /* that file, one for all sources of a job (its uid is "dead-letter"); NULL:
                                       dead-letter.ndjson in the job's folder */
  const struct weir_setting *settings; /* "source.monitor-interval" and the like */
  uint32_t setting_count;
};
struct weir_stream *weir_files_source(struct weir_job_builder *builder, const char *uid,
                                      const struct weir_files_options *options);

/* A setting of librdkafka's, by its name there. Values, which may be secrets, are never logged. */
struct weir_kafka_setting {
  const char *key, *value;
};

/* A Kafka topic; each of its partitions is a split. A record's value is one JSON object. A first start reads from the
 * earliest records, and only records of committed transactions. Zero what is not needed.
 *
 * ```c
 * static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
 * static const struct weir_schema schema = {fields, 1};
 * static const struct weir_kafka_setting settings[] = {{"security.protocol", "ssl"}, {"ssl.ca.location", "ca.pem"}};
 * struct weir_kafka_options views = {.size = sizeof views,
 *                                    .servers = "localhost:9092",
 *                                    .topic = "views",
 *                                    .settings = settings,
 *                                    .setting_count = 2,
 *                                    .schema = &schema};
 * weir_print_sink(weir_kafka_source(builder, "views", &views), "out");
 * ```
 */
struct weir_kafka_options {
  size_t size;         /* sizeof(struct weir_kafka_options) */
  const char *servers; /* "host:port", or several with commas between; the others of the cluster are found by them */
  const char *topic;
  const struct weir_kafka_setting *settings; /* but for those that the source sets itself: it names them */
  uint32_t setting_count;
  const struct weir_schema *schema;   /* fields of the JSON objects by name, and the two below where they are named */
  const char *partition_field;        /* a STRING field that holds the partition's number; NULL: none */
  const char *position_field;         /* a BIGINT field that holds the record's offset; NULL: none */
  const char *event_time_field;       /* a TIMESTAMP, or a BIGINT of milliseconds since 1970; NULL: no watermarks */
  int64_t out_of_orderness_ms;        /* how much later than others a record may come, in event time */
  int64_t idle_timeout_ms;            /* a partition without records for so long holds back no watermark; 0: never */
  bool skip_bad_records;              /* a bad record goes to the dead-letter file; false: it fails the job */
  const char *dead_letter;            /* as in struct weir_files_options */
  const struct weir_setting *options; /* "scan.topic-partition-discovery.interval" and the like */
  uint32_t option_count;
};
struct weir_stream *weir_kafka_source(struct weir_job_builder *builder, const char *uid,
                                      const struct weir_kafka_options *options);

/* Rows made in process, for tests and figures; a restored job makes the same rows again. Field 0 of the schema is the
 * key: BIGINT 0 to key_count - 1, or STRING "app0" to "app<key_count - 1>". Field 1, if there is one, is the event
 * time, a TIMESTAMP or a BIGINT of milliseconds; watermarks follow it. Zero what is not needed. */
struct weir_generator_options {
  size_t size; /* sizeof(struct weir_generator_options) */
  const struct weir_schema *schema;
  uint64_t key_count; /* at least 1 */
  bool is_skewed;     /* a few keys get most rows; false: all as many */
  uint64_t seed;
  uint64_t row_count;       /* of all splits together; 0: no end */
  uint64_t rows_per_second; /* of all splits together; 0: as fast as it goes */
  uint32_t split_count;     /* streams that are made side by side; 0: one. It stays what it was at the first start */
  int64_t start_time_ms;    /* event time of the first row of each split */
  uint64_t time_step_ns;    /* event time between two rows of a split */
  const struct weir_setting *settings;
  uint32_t setting_count;
};
struct weir_stream *weir_generator_source(struct weir_job_builder *builder, const char *uid,
                                          const struct weir_generator_options *options);

/* ---- streams ---- */

/* The same rows, led to the subtask that owns their key: one field, or several. What follows is a keyed operator. */
struct weir_stream *weir_key_by(struct weir_stream *stream, const char *field);
struct weir_stream *weir_key_by_fields(struct weir_stream *stream, const char *const *fields, uint32_t field_count);
/* The same rows, led on as before; where they go into a topic as they are, without a key of their own, this field is
 * the key of their messages. Other sinks do not look at it. */
struct weir_stream *weir_message_key(struct weir_stream *stream, const char *field);
/* The same rows, dealt out evenly among the subtasks of what follows. */
struct weir_stream *weir_rebalance(struct weir_stream *stream);

/* ---- operators ---- */

/* Rows per key of a keyed stream: a changelog of (key fields..., BIGINT `count_field`), +I for a key's first row, +U
 * after it, -D where a changelog came in and took the last row back. Of the changes of one key within one batch only
 * the last goes out. The state is named "count". */
struct weir_stream *weir_count(struct weir_stream *keyed, const char *uid, const char *count_field);
/* An operator of your own (weir/operator.h). `definition` is borrowed by the builder and its jobs. Returns its output;
 * where it has none, a stream that can lead nowhere. */
struct weir_stream *weir_process(struct weir_stream *stream, const char *uid,
                                 const struct weir_operator_definition *definition);

/* ---- sinks ---- */

struct weir_sqlite_options {
  size_t size;                   /* sizeof(struct weir_sqlite_options) */
  const char *path;              /* of the database; made where missing, its folder must be there */
  const char *table;             /* made where missing */
  const char *const *key_fields; /* upsert: one row per key, +I and +U write it, -D deletes it */
  uint32_t key_field_count;      /* 0: insert: one row for each row */
  const struct weir_setting *settings;
  uint32_t setting_count;
};
/* Exactly-once. */
void weir_sqlite_sink(struct weir_stream *stream, const char *uid, const struct weir_sqlite_options *options);

/* A table on a database server. It must be there, and take the stream's fields by name. */
struct weir_database_options {
  size_t size;                         /* sizeof(struct weir_database_options) */
  const struct weir_setting *settings; /* at least "url" and "table-name" */
  uint32_t setting_count;
  const char *const *key_fields; /* upsert: one row per key, +I and +U write it, -D deletes it */
  uint32_t key_field_count;      /* 0: insert: one row for each row */
  /* Commits by the clock, every "sink.buffer-flush.interval", and not with the checkpoints: at-least-once. */
  bool plain;
};
/* Exactly-once, where it is not plain. PostgreSQL 12 and later; the library libpq5 is needed when the job starts. */
void weir_postgres_sink(struct weir_stream *stream, const char *uid, const struct weir_database_options *options);
/* The same for MySQL and MariaDB, into tables of engine InnoDB; needs libmariadb3. */
void weir_mysql_sink(struct weir_stream *stream, const char *uid, const struct weir_database_options *options);
/* A folder that gets finished files, each with the rows of one checkpoint, or a part of them. */
struct weir_directory_options {
  size_t size;                         /* sizeof(struct weir_directory_options) */
  const char *path;                    /* of the folder; it must be there */
  const struct weir_setting *settings; /* "format", "sink.rolling-policy.file-size" and the like */
  uint32_t setting_count;
  bool plain; /* files are written by the clock, under their final names from the first byte: at-least-once */
};
/* Exactly-once, where it is not plain. A file appears whole, under a name that is never used twice, and may be taken
 * away at any time. +I and +U are written, -U is passed over, -D fails the job.
 *
 * ```c
 * static const struct weir_setting settings[] = {{"format", "csv"}, {"csv.header", "true"}};
 * const struct weir_directory_options folder = {
 *     .size = sizeof folder, .path = "out", .settings = settings, .setting_count = 2};
 * weir_directory_sink(stream, "pv", &folder);
 * ```
 */
void weir_directory_sink(struct weir_stream *stream, const char *uid, const struct weir_directory_options *options);
/* A Kafka topic. Zero what is not needed. */
struct weir_kafka_sink_options {
  size_t size;                                      /* sizeof(struct weir_kafka_sink_options) */
  const char *servers, *topic;                      /* as in struct weir_kafka_options; the topic must be there */
  const struct weir_kafka_setting *client_settings; /* of librdkafka, but for those that the sink sets itself */
  uint32_t client_setting_count;
  const struct weir_setting *settings; /* "sink.transactional-id-prefix" and the like */
  uint32_t setting_count;
  const char *const *key_fields; /* of a message's key: one STRING or BYTES as it is, else a JSON object */
  uint32_t key_field_count;
  bool is_upsert; /* +I and +U write the key's row, -D a tombstone, the last change of each checkpoint; false: each row
                     is a message, and a row that takes one back fails the job */
  bool plain;     /* messages go out by the clock, without transactions: at-least-once */
};
/* Exactly-once, where it is not plain, for readers of committed records: the rows of a checkpoint are one transaction,
 * and within a key they keep their order. A row is a JSON object.
 *
 * ```c
 * static const char *const key[] = {"app_id"};
 * const struct weir_kafka_sink_options topic = {.size = sizeof topic,
 *                                               .servers = "localhost:9092",
 *                                               .topic = "counts",
 *                                               .key_fields = key,
 *                                               .key_field_count = 1,
 *                                               .is_upsert = true};
 * weir_kafka_sink(stream, "counts", &topic);
 * ```
 */
void weir_kafka_sink(struct weir_stream *stream, const char *uid, const struct weir_kafka_sink_options *options);
/* A line "+I[a, b]" for each row on standard output. At-least-once: after a restart rows can come again. */
void weir_print_sink(struct weir_stream *stream, const char *uid);
/* Takes rows, and keeps nothing. */
void weir_blackhole_sink(struct weir_stream *stream, const char *uid);

/* ---- by the options of the command line ---- */

/* What a program knows of its records, wherever they come from. Zero what is not needed. */
struct weir_record_options {
  size_t size;                      /* sizeof(struct weir_record_options) */
  const struct weir_schema *schema; /* fields of the JSON objects by name, and the two below where they are named */
  const char *partition_field;      /* a STRING field that holds the file's name, or the partition's number */
  const char *position_field;       /* a BIGINT field that holds the record's number in its file, or its offset */
  const char *event_time_field;     /* a TIMESTAMP, or a BIGINT of milliseconds since 1970; NULL: no watermarks */
  int64_t out_of_orderness_ms;      /* how much later than others a record may come, in event time */
  int64_t idle_timeout_ms;          /* a partition without records for so long holds back no watermark; 0: never */
};
/* The source of --source, --source-option, --kafka, --on-error and --dead-letter: a folder, or a topic. INVALID:
 * --source is missing, or is no source. */
struct weir_stream *weir_source_of_options(struct weir_job_builder *builder, const char *uid,
                                           const struct weir_record_options *records,
                                           const struct weir_options *options);
/* The sink of --sink: sqlite:FILE with this table, postgresql:// or mysql://USER@HOST:PORT/DATABASE with this table,
 * kafka://HOST:PORT/TOPIC with what --kafka says too, dir:PATH, print, or blackhole, with what --sink-option says. Key
 * fields as in struct weir_sqlite_options. */
void weir_sink_of_options(struct weir_stream *stream, const char *uid, const char *table, const char *const *key_fields,
                          uint32_t key_field_count, const struct weir_options *options);

#ifdef __cplusplus
}
#endif

#endif
