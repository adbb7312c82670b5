/* examples/pv.c: page views per app.
 *
 * Reads a folder of NDJSON files whose records have an `app_id`, counts the records per app in keyed state, and keeps
 * the table pv(app_id, pv) up to date, exactly once: killed at any moment and started again by the same command, it
 * goes on where it was.
 *
 *   pv --source views --sink sqlite:views.db
 */
#include "weir/weir.h"

static const struct weir_field view_fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema view_schema = {view_fields, 1};
static const char *const key_fields[] = {"app_id"};

static void build(struct weir_job_builder *job, const struct weir_options *options) {
  const struct weir_record_options records = {.size = sizeof records, .schema = &view_schema};
  struct weir_stream *views = weir_source_of_options(job, "views", &records, options);
  struct weir_stream *counts = weir_count(weir_key_by(views, "app_id"), "count", "pv");
  weir_sink_of_options(counts, "pv", "pv", key_fields, 1, options);
}

int main(int argc, char **argv) {
  const struct weir_program program = {
      .size = sizeof program, .name = "pv", .summary = "counts page views per app", .build = build};
  return weir_program_run(&program, argc, argv);
}
