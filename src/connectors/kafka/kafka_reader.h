/* connectors/kafka/kafka_reader.h: the inside of the Kafka reader, shared by its four files. One thread: the task's,
 * but for what a call is given.
 *
 *   kafka_reader.c          the operator: what is emitted when, snapshots, splits coming in, life
 *   kafka_reader_records.c  from fetches to rows: stops, holes, bad records
 *   kafka_reader_client.c   the client: opened, told what to fetch, asked when a broker's no is to be judged, closed
 *   kafka_reader_commits.c  the offsets that are shown to the consumer group
 */
#ifndef WR_CONNECTORS_KAFKA_READER_H
#define WR_CONNECTORS_KAFKA_READER_H

#include "base/limits.h"
#include "connectors/kafka/kafka.h"
#include "connectors/kafka/kafka_judge.h"
#include "connectors/kafka/kafka_notice.h"
#include "connectors/kafka/kafka_split.h"
#include "connectors/source_rows.h"

enum wr_kafka_reading_state {
  WR_KAFKA_TO_ASSIGN, /* the client is told to fetch it from its position, at assign_at_ns */
  WR_KAFKA_FETCHING,
  WR_KAFKA_IN_DOUBT, /* a broker said no: an inquiry decides whether it is begun again, or is an error */
  WR_KAFKA_ENDED     /* bounded: its stop is reached */
};

/* One partition of this subtask. `split` is exactly as far as rows were built; what is before it in the builders
 * counts. */
struct wr_kafka_reading {
  struct wr_kafka_split split;
  char name[12]; /* its number as text */
  enum wr_kafka_reading_state state;
  uint64_t assign_at_ns;
  uint64_t assign_delay_ns; /* grows while brokers say no to the client and yes to the inquiry */
  struct wr_kafka_doubt doubt;
  struct wr_split_time time;
  int64_t sent_offset; /* of the newest commit; -1: in none yet */
  struct wr_split_metrics metrics;
};

/* The offsets of a checkpoint that is not known to be complete yet. */
struct wr_kafka_commit {
  uint64_t checkpoint_id;
  struct wr_kafka_place *places;
  uint32_t count;
};
enum { WR_KAFKA_COMMITS_MAX = 8 };

/* Opening and closing of the clients. */
struct wr_kafka_connecting {
  struct wr_call call;
  bool running, closing;
  uint64_t open_at_ns, delay_ns;
  struct wr_kafka_consumer *opened; /* the answer */
  enum weir_code code;
  struct weir_error error;
};

/* Looks of an admin for what is in doubt. */
struct wr_kafka_inquiry {
  struct wr_call call;
  bool running;
  uint64_t ask_at_ns, delay_ns;
  struct wr_kafka_admin *admin; /* the call's while it runs, as all below */
  struct wr_kafka_topic topic;
  enum weir_code code;
  struct weir_error error;
};

struct wr_kafka_reader {
  struct wr_operator op;
  const struct wr_kafka_config *config;
  struct wr_kafka_connection connection;
  struct wr_source_rows built;
  struct wr_kafka_reading **readings;
  uint32_t count, capacity;
  uint32_t ended_count, in_doubt_count, to_assign_count;
  uint32_t next; /* round robin */
  bool no_more_splits;
  bool is_dry; /* the last round found no partition with anything to take */

  struct wr_kafka_reading *fetch_of; /* whose fetch is held; NULL: none is */
  struct wr_kafka_fetch fetch;
  uint32_t fetch_at; /* the next of its records */

  struct wr_kafka_consumer *consumer; /* NULL: not open */
  struct wr_kafka_connecting connecting;
  struct wr_kafka_inquiry inquiry;
  struct wr_kafka_doubt client_doubt; /* the client as a whole is not let in */
  struct wr_kafka_notice doubt_notice, client_notice, commit_notice;

  struct wr_kafka_commit commits[WR_KAFKA_COMMITS_MAX]; /* ascending */
  uint32_t commit_count;
};

/* ---- records ---- */

/* Builds rows of what has come, a bounded piece of work. *out_made: there was something. */
enum weir_code wr_kafka_reader_build(struct wr_kafka_reader *reader, bool *out_made, struct weir_error *error);
/* The client's fetch is given back, if one is held; what was not taken of it comes again after an assign. */
void wr_kafka_reader_drop_fetch(struct wr_kafka_reader *reader);
/* Counts in the metrics what was read of a partition. */
void wr_kafka_reading_publish(struct wr_kafka_reading *reading, int64_t high);

/* ---- client ---- */

void wr_kafka_reader_init_client(struct wr_kafka_reader *reader);
/* Opens the client, assigns, goes on with an inquiry, hears what the client has to tell. */
enum weir_code wr_kafka_reader_step_client(struct wr_kafka_reader *reader, uint64_t *wake_at_ns, bool *out_made,
                                           struct weir_error *error);
/* What a broker said of a partition, but FINE; its fetching has stopped. */
enum weir_code wr_kafka_reader_doubt(struct wr_kafka_reader *reader, struct wr_kafka_reading *reading,
                                     const struct wr_kafka_fetch *fetch, struct weir_error *error);
/* At the end: true when no call runs and the clients are closed; closes them, in a call. */
bool wr_kafka_reader_close(struct wr_kafka_reader *reader);

/* ---- commits ---- */

/* Remembers the positions as those of a checkpoint. */
enum weir_code wr_kafka_reader_keep_offsets(struct wr_kafka_reader *reader, uint64_t checkpoint_id,
                                            struct weir_error *error);
void wr_kafka_reader_commit(struct wr_kafka_reader *reader, uint64_t checkpoint_id);
/* Forgets one checkpoint, or, with `older_too`, those before it as well. */
void wr_kafka_reader_forget_offsets(struct wr_kafka_reader *reader, uint64_t checkpoint_id, bool older_too);
/* Hears from the client what became of commits. */
void wr_kafka_reader_count_commits(struct wr_kafka_reader *reader);

/* The fields of the records that a config names. */
struct wr_record_fields wr_kafka_fields(const struct wr_kafka_config *config);

enum weir_code wr_kafka_reader_new(const struct wr_kafka_config *config, struct wr_operator_context *context,
                                   struct wr_operator **out_operator, struct weir_error *error);

#endif
