/* examples/seen.c: every record's place, once.
 *
 * The stateless job beside pv: for each record of the input it inserts one row (partition, position, app_id) into a
 * table without a key. A record lost is a row too few there, a record read again a row too many: nothing hides.
 *
 *   seen --source views --sink sqlite:seen.db
 */
#include "weir/weir.h"

static const struct weir_field fields[] = {
    {"partition", WEIR_TYPE_STRING, false}, {"position", WEIR_TYPE_BIGINT, false}, {"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema schema = {fields, 3};

static void build(struct weir_job_builder *job, const struct weir_options *options) {
  const struct weir_record_options records = {
      .size = sizeof records, .schema = &schema, .partition_field = "partition", .position_field = "position"};
  struct weir_stream *views = weir_source_of_options(job, "views", &records, options);
  weir_sink_of_options(weir_message_key(views, "app_id"), "seen", "seen", NULL, 0, options);
}

int main(int argc, char **argv) {
  const struct weir_program program = {.size = sizeof program,
                                       .name = "seen",
                                       .summary = "writes down the place of every record, exactly once",
                                       .build = build};
  return weir_program_run(&program, argc, argv);
}
