/* sim/sim_jobs.c: see sim_jobs.h. */
#include "sim/sim_jobs.h"

#include "api/graph_int.h"
#include "sim/sim_kafka_producer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the wrapped target ---- */

struct watched_target {
  struct wr_target base;
  struct wr_target_vtable vtable; /* without what the inner one does not have */
  struct wr_target *inner;
  struct wr_memory *memory;
  struct sim_wrapped_sink *sink;
  struct wr_target_context context;
};

static struct watched_target *watched(struct wr_target *target) {
  return (struct watched_target *)target;
}

static enum weir_code watched_connect(struct wr_target *target, struct weir_error *error) {
  return watched(target)->inner->vtable->connect(watched(target)->inner, error);
}

static enum weir_code watched_read_marker(struct wr_target *target, struct wr_marker *out, struct weir_error *error) {
  return watched(target)->inner->vtable->read_marker(watched(target)->inner, out, error);
}

/* What an older run was about to commit when it was killed, it commits now: it was only slow. */
static void let_zombie_commit(struct watched_target *self) {
  struct sim_job_graph *owner = self->sink->owner;
  struct sim_world *world = owner->world;
  bool is_older = owner->zombie.memory != NULL &&
                  owner->zombie.store.start_number < self->context.store->start_number &&
                  memcmp(owner->zombie.store.incarnation, self->context.store->incarnation, WR_INCARNATION_BYTES) == 0;
  if (!owner->zombie_commits || !is_older) return;
  owner->zombie_commits = false;
  sim_world_direct(world, true);
  owner->zombie_commit_count += sim_zombie_commit(&owner->zombie, 0);
  sim_world_direct(world, false);
}

static enum weir_code watched_check_carried(struct wr_target *target, const struct wr_marker *seen,
                                            const uint8_t *incarnation, const struct wr_epoch *epochs,
                                            uint32_t epoch_count, struct weir_error *error) {
  struct watched_target *self = watched(target);
  if (self->sink->owner->zombie_is_early) let_zombie_commit(self);
  return self->inner->vtable->check_carried(self->inner, seen, incarnation, epochs, epoch_count, error);
}

static enum weir_code watched_claim(struct wr_target *target, const struct wr_marker *seen, uint64_t checkpoint,
                                    struct weir_error *error) {
  struct watched_target *self = watched(target);
  let_zombie_commit(self);
  enum weir_code code = self->inner->vtable->claim(self->inner, seen, checkpoint, error);
  self->sink->is_settled = false;
  if (code == WEIR_OK) self->sink->out_id = checkpoint;
  return code;
}

static enum weir_code watched_commit(struct wr_target *target, const struct wr_epoch *epoch, bool *out_already,
                                     struct weir_error *error) {
  struct watched_target *self = watched(target);
  struct sim_job_graph *owner = self->sink->owner;
  if (owner->watch.commit != NULL) owner->watch.commit(owner->watch.context, self->context.uid, epoch);
  sim_zombie_note(&owner->zombie, &owner->memory.memory, self->sink->new_target, self->sink->target_config,
                  &self->context, epoch);
  enum weir_code code = self->inner->vtable->commit(self->inner, epoch, out_already, error);
  if (code == WEIR_OK) self->sink->out_id = epoch->checkpoint_id;
  return code;
}

static enum weir_code watched_refresh(struct wr_target *target, struct weir_error *error) {
  return watched(target)->inner->vtable->refresh(watched(target)->inner, error);
}

static enum weir_code watched_settled(struct wr_target *target, struct weir_error *error) {
  WR_TRY(watched(target)->inner->vtable->settled(watched(target)->inner, error));
  watched(target)->sink->is_settled = true;
  return WEIR_OK;
}

static void watched_close(struct wr_target *target) {
  watched(target)->inner->vtable->close(watched(target)->inner);
}

static void watched_free(struct wr_target *target) {
  struct watched_target *self = watched(target);
  self->inner->vtable->free(self->inner);
  wr_free(self->memory, self);
}

static const struct wr_target_vtable watched_vtable = {.connect = watched_connect,
                                                       .read_marker = watched_read_marker,
                                                       .check_carried = watched_check_carried,
                                                       .claim = watched_claim,
                                                       .refresh = watched_refresh,
                                                       .settled = watched_settled,
                                                       .commit = watched_commit,
                                                       .close = watched_close,
                                                       .free = watched_free};

static enum weir_code new_watched_target(void *config, const struct wr_target_context *context,
                                         struct wr_target **out_target, struct weir_error *error) {
  struct sim_wrapped_sink *sink = config;
  struct watched_target *self = wr_alloc_zeroed(context->memory, 1, sizeof *self, WR_MEMORY_SINK);
  if (self == NULL) return WR_FAIL(error, WEIR_NO_MEMORY, "out of memory for a target");
  self->memory = context->memory;
  self->sink = sink;
  self->context = *context;
  enum weir_code code = sink->new_target(sink->target_config, context, &self->inner, error);
  if (code != WEIR_OK) {
    wr_free(context->memory, self);
    return code;
  }
  self->vtable = watched_vtable;
  if (self->inner->vtable->check_carried == NULL) self->vtable.check_carried = NULL;
  if (self->inner->vtable->refresh == NULL) self->vtable.refresh = NULL;
  if (self->inner->vtable->settled == NULL) self->vtable.settled = NULL;
  self->base.vtable = &self->vtable;
  *out_target = &self->base;
  return WEIR_OK;
}

static void wrap_sinks(struct sim_job_graph *job, const struct wr_commit_limits *limits) {
  for (uint32_t n = 0; n < job->graph->node_count; n++) {
    if (job->graph->nodes[n].kind != WR_NODE_COMMITTER) continue;
    struct wr_sink_config *config = job->graph->nodes[n].config;
    WR_ASSERT(job->sink_count < SIM_SINKS_MAX);
    struct sim_wrapped_sink *sink = &job->sinks[job->sink_count++];
    *sink = (struct sim_wrapped_sink){.owner = job,
                                      .config = config,
                                      .target_config = config->target_config,
                                      .new_target = config->new_target,
                                      .uid = job->graph->nodes[n].uid};
    config->new_target = new_watched_target;
    config->target_config = sink;
    if (limits->epochs_max != 0) config->limits = *limits;
  }
}

/* ---- the graphs ---- */

/* Files of a kilobyte, so that an epoch often has several. */
static void add_directory(struct weir_stream *stream, const char *uid, const struct sim_job_options *options) {
  char rollover[24];
  snprintf(rollover, sizeof rollover, "%ums", options->directory_rollover_ms);
  const struct weir_setting settings[] = {{"sink.rolling-policy.file-size", "1kb"},
                                          {"format", options->directory_is_csv ? "csv" : "json"},
                                          {"sink.rolling-policy.rollover-interval", rollover}};
  const struct weir_directory_options folder = {.size = sizeof folder,
                                                .path = options->directory,
                                                .settings = settings,
                                                .setting_count = options->directory_rollover_ms == 0 ? 2 : 3};
  weir_directory_sink(stream, uid, &folder);
}

static void add_topic(struct sim_job_graph *job, struct weir_stream *stream, const char *uid, bool is_upsert,
                      const struct sim_job_options *options) {
  static const uint32_t first_field[] = {0};
  if (!wr_check_sink_stream(stream, uid)) return;
  job->kafka_sink = (struct wr_kafka_sink_config){.driver = sim_kafka_producer_driver(options->sink_kafka),
                                                  .connection = {.servers = "sim:9092"},
                                                  .topic = "rows",
                                                  .key_fields = first_field,
                                                  .key_count = is_upsert ? 1 : 0,
                                                  .is_upsert = is_upsert,
                                                  .transaction_timeout_ms = options->sink_timeout_ms};
  wr_two_phase_sink(stream, uid,
                    &(struct wr_two_phase_description){.config = &job->kafka_sink, .new_target = wr_kafka_target_new});
}

static void add_sql(struct sim_job_graph *job, struct weir_stream *stream, const char *uid, bool is_upsert,
                    const struct sim_job_options *options) {
  static const uint32_t first_field[] = {0};
  if (!wr_check_sink_stream(stream, uid)) return;
  job->sql_sink = (struct wr_sql_config){.where = "table rows in sim://server/out",
                                         .mode = is_upsert ? WR_SQL_UPSERT : WR_SQL_INSERT,
                                         .key_fields = first_field,
                                         .key_count = is_upsert ? 1 : 0,
                                         .leaves_out = options->leaves_out,
                                         .driver_config = options->sink_sql,
                                         .new_driver = sim_sql_new_driver};
  wr_two_phase_sink(stream, uid,
                    &(struct wr_two_phase_description){.config = &job->sql_sink, .new_target = wr_sql_target_new});
}

static bool has_places(const struct weir_schema *schema) {
  return strcmp(schema->fields[0].name, "partition") == 0;
}

static struct weir_stream *kafka_source(struct weir_job_builder *builder, const struct weir_schema *schema,
                                        const struct sim_job_options *options) {
  char interval_ms[24];
  snprintf(interval_ms, sizeof interval_ms, "%" PRIu64, options->discovery_interval_ms);
  struct weir_kafka_setting settings[] = {{"topic.metadata.refresh.interval.ms", interval_ms},
                                          {"isolation.level", "read_uncommitted"}};
  struct weir_kafka_options kafka = {.size = sizeof kafka,
                                     .servers = "sim:9092",
                                     .topic = options->topic,
                                     .settings = settings,
                                     .setting_count = options->uncommitted ? 2 : 1,
                                     .schema = schema,
                                     .partition_field = has_places(schema) ? "partition" : NULL,
                                     .position_field = has_places(schema) ? "position" : NULL,
                                     .event_time_field = options->kind == SIM_JOB_HELD ? "position" : NULL,
                                     .skip_bad_records = options->dead_letter != NULL,
                                     .dead_letter = options->dead_letter};
  return wr_kafka_source_with(builder, "views", &kafka, sim_kafka_driver(options->kafka));
}

static struct weir_stream *files_source(struct weir_job_builder *builder, const struct weir_schema *schema,
                                        const struct sim_job_options *options) {
  struct weir_files_options files = {.size = sizeof files,
                                     .folder = options->log_folder,
                                     .schema = schema,
                                     .partition_field = has_places(schema) ? "partition" : NULL,
                                     .position_field = has_places(schema) ? "position" : NULL,
                                     .event_time_field = options->kind == SIM_JOB_HELD ? "position" : NULL,
                                     .skip_bad_records = options->dead_letter != NULL,
                                     .dead_letter = options->dead_letter};
  return weir_files_source(builder, "views", &files);
}

static struct weir_stream *source(struct weir_job_builder *builder, const struct weir_schema *schema,
                                  const struct sim_job_options *options) {
  return options->kafka != NULL ? kafka_source(builder, schema, options) : files_source(builder, schema, options);
}

static void build_pv(struct sim_job_graph *job, const struct sim_job_options *options) {
  static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
  static const struct weir_schema schema = {fields, 1};
  static const char *const key[] = {"app_id"};
  struct weir_sqlite_options table = {
      .size = sizeof table, .path = options->database, .table = "pv", .key_fields = key, .key_field_count = 1};
  struct weir_stream *views = source(&job->builder, &schema, options);
  struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
  if (options->sink_kafka != NULL)
    add_topic(job, counts, "pv", true, options);
  else if (options->sink_sql != NULL)
    add_sql(job, counts, "pv", true, options);
  else if (options->directory != NULL)
    add_directory(counts, "pv", options);
  else
    weir_sqlite_sink(counts, "pv", &table);
}

static void build_seen(struct sim_job_graph *job, const struct sim_job_options *options) {
  static const struct weir_field fields[] = {{"partition", WEIR_TYPE_STRING, false},
                                             {"position", WEIR_TYPE_BIGINT, false},
                                             {"app_id", WEIR_TYPE_STRING, false}};
  static const struct weir_schema schema = {fields, 3};
  const char *name = sim_job_name(options->kind);
  struct weir_sqlite_options table = {.size = sizeof table, .path = options->database, .table = name};
  struct weir_stream *views = source(&job->builder, &schema, options);
  struct weir_stream *rows = options->kind == SIM_JOB_HELD ? sim_held_build(&job->held, views) : views;
  if (options->kind == SIM_JOB_PLAIN)
    wr_plain_sink(rows, name,
                  &(struct wr_plain_description){.where = "a list",
                                                 .interval_ms = options->plain_interval_ms,
                                                 .config = options->plain,
                                                 .new_target = sim_plain_new_target});
  else if (options->sink_kafka != NULL)
    add_topic(job, rows, name, false, options);
  else if (options->sink_sql != NULL)
    add_sql(job, rows, name, false, options);
  else if (options->directory != NULL)
    add_directory(rows, name, options);
  else
    weir_sqlite_sink(rows, name, &table);
}

const char *sim_job_name(enum sim_job_kind kind) {
  static const char *const names[] = {
      [SIM_JOB_PV] = "pv", [SIM_JOB_SEEN] = "seen", [SIM_JOB_HELD] = "held", [SIM_JOB_PLAIN] = "plain"};
  return names[kind];
}

bool sim_job_graph_init(struct sim_job_graph *job, const struct sim_job_options *options, struct weir_error *error) {
  memset(job, 0, sizeof *job);
  job->watch = options->watch;
  job->world = options->world;
  wr_heap_memory_init(&job->memory, 0);
  if (wr_builder_init(&job->builder, &job->memory.memory, sim_job_name(options->kind), error) != WEIR_OK) return false;
  if (options->kind == SIM_JOB_PV)
    build_pv(job, options);
  else
    build_seen(job, options);
  if (wr_builder_finish(&job->builder, &job->graph, error) != WEIR_OK) return false;
  wrap_sinks(job, &options->limits);
  return true;
}

bool sim_job_graph_deinit(struct sim_job_graph *job) {
  sim_zombie_deinit(&job->zombie);
  sim_held_deinit(&job->held);
  wr_builder_deinit(&job->builder);
  return job->memory.total_bytes == 0;
}
