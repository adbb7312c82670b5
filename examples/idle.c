/* examples/idle.c: apps that have gone quiet. An operator of its own, with keyed state and timers.
 *
 * Per app it keeps the number of views and the time of the last one in keyed state. When no view of an app has come for
 * --idle-after, a timer fires, a row (app_id, views, last_view) goes out, and the app is forgotten until its next view.
 * State and timers are in every checkpoint: an app that goes quiet while the program is down is told of when it is up.
 *
 *   idle --source views --sink print --idle-after 10s
 */
#include "weir/weir.h"

static const struct weir_field view_fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
static const struct weir_schema view_schema = {view_fields, 1};

static const struct weir_field quiet_fields[] = {
    {"app_id", WEIR_TYPE_STRING, false}, {"views", WEIR_TYPE_BIGINT, false}, {"last_view", WEIR_TYPE_TIMESTAMP, false}};
static const struct weir_schema quiet_schema = {quiet_fields, 3};

/* What is kept per app: the state's schema, and the struct that its values are laid out as. */
static const struct weir_field visit_fields[] = {{"views", WEIR_TYPE_BIGINT, false},
                                                 {"last_ms", WEIR_TYPE_BIGINT, false}};
static const struct weir_schema visit_schema = {visit_fields, 2};
struct visit {
  int64_t views, last_ms;
};

static enum weir_code open_visits(struct weir_operator *op, struct weir_error *error) {
  return weir_operator_declare_state(op, "visits", &visit_schema, NULL, error);
}

/* Counts a view. Only an app's first view registers a timer; later ones move the time that the timer looks at. */
static enum weir_code add_views(struct weir_operator *op, const struct weir_batch *views, struct weir_error *error) {
  struct weir_state *visits = weir_operator_state(op, "visits");
  const int64_t *idle_ms = weir_operator_config(op);
  int64_t now_ms = weir_operator_now_ms(op);
  for (uint32_t row = 0; row < weir_batch_row_count(views); row++) {
    bool is_first = weir_state_get(visits, row) == NULL;
    struct visit *visit = weir_state_put(visits, row);
    visit->views++;
    visit->last_ms = now_ms;
    if (!is_first) continue;
    enum weir_code code = weir_timer_register(op, WEIR_PROCESSING_TIME, now_ms + *idle_ms, row, error);
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

static enum weir_code tell_quiet(struct weir_operator *op, enum weir_time time, const struct weir_batch *apps,
                                 const int64_t *times_ms, struct weir_error *error) {
  struct weir_state *visits = weir_operator_state(op, "visits");
  const int64_t *idle_ms = weir_operator_config(op);
  for (uint32_t row = 0; row < weir_batch_row_count(apps); row++) {
    const struct visit *visit = weir_state_get(visits, row);
    enum weir_code code = WEIR_OK;
    if (visit->last_ms + *idle_ms > times_ms[row]) {
      code = weir_timer_register(op, time, visit->last_ms + *idle_ms, row, error);
    } else {
      size_t length = 0;
      const char *app = weir_batch_bytes(apps, 0, row, &length);
      weir_set_bytes(op, 0, app, length);
      weir_set_bigint(op, 1, visit->views);
      weir_set_timestamp(op, 2, (struct weir_timestamp){.milliseconds = visit->last_ms});
      code = weir_emit(op, WEIR_INSERT, error);
      weir_state_clear(visits, row);
    }
    if (code != WEIR_OK) return code;
  }
  return WEIR_OK;
}

static int64_t idle_after_ms; /* of this program's one job; set before it starts */

static const struct weir_operator_definition quiet_apps = {
    .size = sizeof(struct weir_operator_definition),
    .name = "quiet apps",
    .output = &quiet_schema,
    .config = &idle_after_ms,
    .open = open_visits,
    .process = add_views,
    .timers = tell_quiet,
};

static void build(struct weir_job_builder *job, const struct weir_options *options) {
  const struct weir_record_options records = {.size = sizeof records, .schema = &view_schema};
  idle_after_ms = weir_options_number(options, "idle-after");
  struct weir_stream *views = weir_source_of_options(job, "views", &records, options);
  struct weir_stream *quiet = weir_process(weir_key_by(views, "app_id"), "quiet", &quiet_apps);
  weir_sink_of_options(quiet, "idle", "idle", NULL, 0, options);
}

int main(int argc, char **argv) {
  static const struct weir_option own[] = {{.name = "idle-after",
                                            .kind = WEIR_OPTION_DURATION,
                                            .value_name = "TIME",
                                            .default_text = "30s",
                                            .help = "an app without views for so long is quiet"}};
  const struct weir_program program = {.size = sizeof program,
                                       .name = "idle",
                                       .summary = "tells which apps have gone quiet",
                                       .options = own,
                                       .option_count = 1,
                                       .build = build};
  return weir_program_run(&program, argc, argv);
}
