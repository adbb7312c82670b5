/* tests/notes_job.c: a job of tests/sql_sinks.py, whose rows have a field that can be NULL: for each record of the
 * input one row (position, note) into table notes, which has no key. */
#include "weir/weir.h"

static const struct weir_field fields[] = {{"position", WEIR_TYPE_BIGINT, false}, {"note", WEIR_TYPE_STRING, true}};
static const struct weir_schema schema = {fields, 2};

static void build(struct weir_job_builder *job, const struct weir_options *options) {
  const struct weir_record_options records = {.size = sizeof records, .schema = &schema, .position_field = "position"};
  weir_sink_of_options(weir_source_of_options(job, "records", &records, options), "notes", "notes", NULL, 0, options);
}

int main(int argc, char **argv) {
  const struct weir_program program = {
      .size = sizeof program, .name = "notes", .summary = "writes down notes, which may be missing", .build = build};
  return weir_program_run(&program, argc, argv);
}
