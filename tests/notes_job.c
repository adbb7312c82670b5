/* tests/notes_job.c: a job of tests/sql_sinks.py and tests/kafka_sink.py, whose rows have a field that can be NULL: for
 * each record of the input one row (position, note) into table notes, which has no key. The environment can name job
 * and sink: NOTES_JOB, NOTES_SINK. */
#include "weir/weir.h"

#include <stdlib.h>

static const struct weir_field fields[] = {{"position", WEIR_TYPE_BIGINT, false}, {"note", WEIR_TYPE_STRING, true}};
static const struct weir_schema schema = {fields, 2};

/* The name that the environment has for it. */
static const char *name_of(const char *variable) {
  const char *name = getenv(variable);
  return name == NULL ? "notes" : name;
}

static void build(struct weir_job_builder *job, const struct weir_options *options) {
  const struct weir_record_options records = {.size = sizeof records, .schema = &schema, .position_field = "position"};
  struct weir_stream *notes = weir_source_of_options(job, "records", &records, options);
  weir_sink_of_options(notes, name_of("NOTES_SINK"), "notes", NULL, 0, options);
}

int main(int argc, char **argv) {
  const struct weir_program program = {.size = sizeof program,
                                       .name = name_of("NOTES_JOB"),
                                       .summary = "writes down notes, which may be missing",
                                       .build = build};
  return weir_program_run(&program, argc, argv);
}
