/* weir/options.h: the options of a job, by name: from the command line, or set by a program. One thread at a time.
 *
 * Every job has the same options; `--help` lists them, weir_options_help gives that text. Values are texts, checked
 * when they are set: a folder, a number, a duration ("200ms", "1s", "5min", "2h", "1d"), one of a few words. An unknown
 * name or a bad value is an error (WEIR_INVALID, exit code 2) that names the nearest there is. One kind of option, the
 * list, may be given several times.
 *
 *   source               the input: a folder, in which each *.ndjson file is a partition, or a Kafka topic,
 *                        kafka://HOST:PORT[,HOST:PORT...]/TOPIC
 *   source-option        KEY=VALUE, a list: options of that source (docs/connectors.md)
 *   kafka                KEY=VALUE, a list: settings of librdkafka for that topic, and for the sink's
 *   sink                 sqlite:FILE, postgresql:// or mysql://USER@HOST:PORT/DATABASE,
 *                        kafka://HOST:PORT[,HOST:PORT...]/TOPIC, dir:PATH, print or blackhole
 *   sink-option          KEY=VALUE, a list: options of that sink, a folder, a topic or a database server
 *                        (docs/connectors.md)
 *   plain                a sink on a database server, a topic or a folder writes by the clock, not with the
 * checkpoints: rows can come twice mode                 exactly-once (default) or at-least-once: whether checkpoints
 * align parallelism          subtasks of each operator; the number of cores by default state                the job's
 * folder; weir-state/NAME by default checkpoint-interval  1s by default bounded              read what is there now,
 * then end on-error             what becomes of a bad record: fail (default) or skip dead-letter          file that
 * skipped records are written to; dead-letter.ndjson in the job's folder by default fresh                start over: an
 * older folder is moved aside accept-duplicates    where a restart cannot know whether rows are in the target: write
 * them accept-loss          the same: leave them out metrics-file         what weir_job_metrics gives, written into
 * this file every 50 ms while weir_job_run waits allow-non-restored-state   drop stored state that no operator of this
 * job takes
 */
#ifndef WEIR_OPTIONS_H
#define WEIR_OPTIONS_H

#include "weir/error.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_options;

enum weir_option_kind {
  WEIR_OPTION_FLAG, /* given or not; on the command line without a value */
  WEIR_OPTION_TEXT,
  WEIR_OPTION_NUMBER,   /* a whole number, 1 to `maximum` */
  WEIR_OPTION_DURATION, /* a whole number of ms, s, min, h or d, above 0 */
  WEIR_OPTION_CHOICE,   /* one of the words of `choices` */
  WEIR_OPTION_LIST      /* texts; may be given several times */
};

/* One option: for those that a program has of its own. All texts are borrowed, and outlive the options. */
struct weir_option {
  const char *name; /* "idle-after": small letters, digits and '-' */
  enum weir_option_kind kind;
  const char *value_name;   /* in the help: "DIR"; NULL for a flag or a choice */
  const char *choices;      /* CHOICE: "fail|skip" */
  const char *default_text; /* NULL: none */
  const char *help;         /* a line of the help */
  int64_t maximum;          /* NUMBER */
};

/* The common options, none set. NO_MEMORY. Free with weir_options_free.
 *
 * ```c
 * struct weir_options *options = NULL;
 * struct weir_error error;
 * enum weir_code code = weir_options_new(&options, &error);
 * if (code == WEIR_OK) code = weir_options_set(options, "parallelism", "2", &error);
 * if (code != WEIR_OK) fprintf(stderr, "%s\n", error.message);
 * weir_options_free(&options);
 * ```
 */
enum weir_code weir_options_new(struct weir_options **out_options, struct weir_error *error);
/* Frees, and sets *options to NULL. NULL and a pointer to NULL are fine. */
void weir_options_free(struct weir_options **options);
/* Adds an option of the program's own, before any is parsed. INVALID: there is one of this name. */
enum weir_code weir_options_add(struct weir_options *options, const struct weir_option *option,
                                struct weir_error *error);
/* Sets one by name; a flag is set by "true" and unset by "false", a list gets one more text. The text is copied.
 * INVALID, NO_MEMORY. */
enum weir_code weir_options_set(struct weir_options *options, const char *name, const char *value,
                                struct weir_error *error);
/* Reads argv[1] to argv[argc - 1]: --name value, --name=value, --flag. *out_help: --help was among them, and nothing
 * else was looked at. */
enum weir_code weir_options_parse(struct weir_options *options, int argc, char *const *argv, bool *out_help,
                                  struct weir_error *error);

/* The value, or the default; NULL: neither. The text is the options' own, until the option is set again. Asking for a
 * name that does not exist is a programmer's error. */
const char *weir_options_text(const struct weir_options *options, const char *name);
/* The texts of a list, in the order in which they were given: `index` from 0 to weir_options_count - 1. */
uint32_t weir_options_count(const struct weir_options *options, const char *name);
const char *weir_options_item(const struct weir_options *options, const char *name, uint32_t index);
bool weir_options_flag(const struct weir_options *options, const char *name);
/* A number; of a duration its milliseconds; 0: neither set nor a default. */
int64_t weir_options_number(const struct weir_options *options, const char *name);

/* The text that --help prints, written into `buffer` as snprintf does: cut to `size`, always ended with a zero. Returns
 * the length of the whole text. `buffer` may be NULL when `size` is 0. */
size_t weir_options_help(const struct weir_options *options, const char *program, const char *summary, char *buffer,
                         size_t size);

#ifdef __cplusplus
}
#endif

#endif
