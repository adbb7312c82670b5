/* api/api_int.h: what the files of src/api share, and what the simulator and the demo take from behind the public
 * interface: a builder in memory of their own, and the graph that it made. Nobody else includes it.
 *
 * A simulated run of a program's job: wr_builder_new in the world's memory, the program's own build function, then
 * wr_builder_finish, wr_builder_set_folder, and wr_job_new with the graph and wr_job_options_of. */
#ifndef WR_API_API_INT_H
#define WR_API_API_INT_H

#include "base/memory.h"
#include "operators/stage.h"
#include "runtime/job.h"
#include "runtime/sink.h"
#include "weir/weir.h"

/* ---- blocks that belong to no engine ---- */

/* Zeroed memory for a handle, which then holds a heap of its own. NULL: none. */
void *wr_api_block_new(size_t bytes);
void wr_api_block_free(void *block);

/* ---- builder ---- */

/* A block of the builder's memory that is freed with it. */
struct wr_builder_block {
  struct wr_builder_block *next;
  void *block;
};

struct weir_job_builder {
  struct wr_heap_memory heap; /* where no other memory was given */
  struct wr_memory *memory;
  char name[WR_NAME_BYTES_MAX + 1];
  struct wr_graph graph;
  struct wr_builder_block *blocks;
  struct weir_error error;      /* the first one */
  bool is_owned;                /* made by weir_job_builder_new */
  bool needs_folder;            /* a sink keeps what it is given */
  bool has_default_dead_letter; /* skipped records go to the job's folder: see wr_builder_set_folder */
  char *dead_letter_path;       /* of the job's one dead-letter file; NULL: no source skips */
  uint32_t dead_letter_writer;  /* the node that it is led to */
};

struct weir_stream {
  struct weir_job_builder *builder;
  uint32_t node, port;
  const struct weir_schema *schema; /* NULL: nothing goes out */
  enum wr_exchange exchange;
  struct wr_key_fields key; /* HASH */
  bool has_message_key;
  uint32_t message_key; /* a field; for sinks that send messages */
};

/* A builder in memory of somebody else: released by wr_builder_deinit. INVALID: the name. */
enum weir_code wr_builder_init(struct weir_job_builder *builder, struct wr_memory *memory, const char *name,
                               struct weir_error *error);
void wr_builder_deinit(struct weir_job_builder *builder);
/* The checked graph, as long as the builder. */
enum weir_code wr_builder_finish(struct weir_job_builder *builder, const struct wr_graph **out_graph,
                                 struct weir_error *error);
/* Says where the job's folder is, before the graph runs; for the dead-letter file's default place. */
enum weir_code wr_builder_set_folder(struct weir_job_builder *builder, const char *folder, struct weir_error *error);
/* Zeroed, freed with the builder; NULL, and the builder's error is set: no memory. */
void *wr_builder_alloc(struct weir_job_builder *builder, size_t bytes);
/* Takes a block over, to free it with the builder. NULL in, or no memory (then it is freed): NULL. */
void *wr_builder_keep(struct weir_job_builder *builder, void *block);
char *wr_builder_copy(struct weir_job_builder *builder, const char *text);
/* Remember an error, if it is the first. `uid` says whose mistake it is; NULL: of no node. */
void wr_builder_fail(struct weir_job_builder *builder, const struct weir_error *error);
__attribute__((format(printf, 3, 4))) void wr_builder_invalid(struct weir_job_builder *builder, const char *uid,
                                                              const char *format, ...);
/* A stream of a node's port; NULL: no memory. */
struct weir_stream *wr_stream_new(struct weir_job_builder *builder, uint32_t node, uint32_t port);
/* Leads a stream to input 0 of a node. */
void wr_stream_connect(const struct weir_stream *stream, uint32_t node);
/* The number of a field; false, and the builder's error is set: there is none of this name. */
bool wr_find_field(struct weir_job_builder *builder, const char *uid, const struct weir_schema *schema,
                   const char *name, uint32_t *out_field);

/* A stream that a sink can take: it has rows. False, and the builder's error is set: it has none, or the uid is bad. */
bool wr_check_sink_stream(struct weir_stream *stream, const char *uid);

/* ---- connectors ---- */

struct wr_connector_option;
/* The options of a kind of connector. */
struct wr_connector_table {
  const char *by;        /* "source" or "sink": --source-option, --sink-option; NULL: of programs alone */
  const char *connector; /* how --source or --sink names it, or the function that makes it */
  const struct wr_connector_option *options;
  uint32_t option_count;
};
enum { WR_CONNECTOR_TABLE_COUNT = 8 };
extern const struct wr_connector_table wr_connector_tables[WR_CONNECTOR_TABLE_COUNT];

/* ---- sources ---- */

struct wr_kafka_driver;
/* weir_kafka_source over another client than librdkafka; the driver outlives the jobs. */
struct weir_stream *wr_kafka_source_with(struct weir_job_builder *builder, const char *uid,
                                         const struct weir_kafka_options *options,
                                         const struct wr_kafka_driver *driver);

/* ---- sinks ---- */

struct wr_two_phase_description {
  void *config; /* of both; outlives the jobs */
  wr_new_target *new_target;
  wr_new_stage *new_stage; /* NULL: the common one */
};
/* The nodes of a two-phase sink, and the stream led to them. */
void wr_two_phase_sink(struct weir_stream *stream, const char *uid, const struct wr_two_phase_description *sink);

struct wr_kafka_producer_driver;
/* weir_kafka_sink over another client than librdkafka; the driver outlives the jobs. */
void wr_kafka_sink_with(struct weir_stream *stream, const char *uid, const struct weir_kafka_sink_options *options,
                        const struct wr_kafka_producer_driver *driver);

/* ---- jobs ---- */

/* What the options say; `folder` is left to the caller, `parallelism` is 0 where they do not say. */
void wr_job_options_of(const struct weir_options *options, const char *name, struct wr_job_options *out_options);

#endif
