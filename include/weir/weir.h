/* weir/weir.h: all of weir's interface. See graph.h (what a job is made of), operator.h (an operator of your own),
 * job.h (running it), options.h, batch.h, types.h, error.h.
 *
 * C17, and C++. Structs whose fields are not shown are handles: made by a _new or _start, freed by the _free beside it,
 * which also sets the caller's pointer to NULL. Structs with a `size` first are filled by the caller, who sets it to
 * sizeof; so they can grow. Functions that can fail say so in their result; out-parameters are written on success only.
 *
 * A whole program is a name, a function that builds the graph, and this:
 *
 * ```c
 * static void build(struct weir_job_builder *job, const struct weir_options *options) {
 *   static const struct weir_field fields[] = {{"app_id", WEIR_TYPE_STRING, false}};
 *   static const struct weir_schema schema = {fields, 1};
 *   const struct weir_record_options records = {.size = sizeof records, .schema = &schema};
 *   struct weir_stream *views = weir_source_of_options(job, "views", &records, options);
 *   weir_sink_of_options(weir_count(weir_key_by(views, "app_id"), "count", "pv"), "pv", "pv", NULL, 0, options);
 * }
 *
 * int main(int argc, char **argv) {
 *   const struct weir_program program = {
 *       .size = sizeof program, .name = "pv", .summary = "counts page views per app", .build = build};
 *   return weir_program_run(&program, argc, argv);
 * }
 * ```
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include "weir/batch.h"
#include "weir/error.h"
#include "weir/graph.h"
#include "weir/job.h"
#include "weir/operator.h"
#include "weir/options.h"
#include "weir/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_program {
  size_t size;                       /* sizeof(struct weir_program) */
  const char *name;                  /* of the job, and of the program in its messages */
  const char *summary;               /* the first line of --help, after the name */
  const struct weir_option *options; /* the program's own; may be NULL */
  uint32_t option_count;
  /* Builds the graph. The options are parsed; errors are the builder's. */
  void (*build)(struct weir_job_builder *builder, const struct weir_options *options);
};
/* Parses the options, builds, runs until the end or a signal, says what went wrong on standard error, and returns the
 * exit code: 0 done or stopped; 1 a bad record, memory, an operator's error, a last checkpoint that failed; 2 options,
 * a folder in use; 3 the job's folder is damaged, foreign or newer, or a restart is refused; 4 source or sink. */
int weir_program_run(const struct weir_program *program, int argc, char **argv);

/* "0.1.0"; static storage. */
const char *weir_version(void);

#ifdef __cplusplus
}
#endif

#endif
