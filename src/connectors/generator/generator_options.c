/* connectors/generator/generator_options.c: the options of a generator. Pure. */
#include "connectors/generator/generator.h"

#include "base/limits.h"

const struct wr_connector_option wr_generator_options[WR_GENERATOR_OPTION_COUNT] = {
    [WR_GENERATOR_ROW_COUNT] = {.key = "number-of-rows",
                                .type = WR_CONNECTOR_NUMBER,
                                .default_text = "0",
                                .maximum = INT64_MAX,
                                .help = "rows of all splits together; 0: no end"},
    [WR_GENERATOR_ROWS_PER_SECOND] = {.key = "rows-per-second",
                                      .type = WR_CONNECTOR_NUMBER,
                                      .default_text = "0",
                                      .maximum = INT64_MAX,
                                      .help = "of all splits together; 0: as fast as it goes"},
    [WR_GENERATOR_KEY_COUNT] = {.key = "key-count",
                                .type = WR_CONNECTOR_NUMBER,
                                .minimum = 1,
                                .maximum = INT64_MAX,
                                .help = "how many keys there are; it must be given"},
    [WR_GENERATOR_KEY_SKEW] = {.key = "key-skew",
                               .type = WR_CONNECTOR_FLAG,
                               .default_text = "false",
                               .help = "a few keys get most rows; else all as many"},
    [WR_GENERATOR_SEED] = {.key = "seed",
                           .type = WR_CONNECTOR_NUMBER,
                           .default_text = "0",
                           .maximum = INT64_MAX,
                           .help = "another one makes other rows"},
    [WR_GENERATOR_SPLIT_COUNT] = {.key = "split-count",
                                  .type = WR_CONNECTOR_NUMBER,
                                  .default_text = "1",
                                  .minimum = 1,
                                  .maximum = WR_PARALLELISM_MAX,
                                  .help = "streams that are made side by side; it stays what it was at the first "
                                          "start"},
    [WR_GENERATOR_START_TIME] = {.key = "start-time-ms",
                                 .type = WR_CONNECTOR_NUMBER,
                                 .default_text = "0",
                                 .minimum = -62135596800000,
                                 .maximum = 253402300799999,
                                 .help = "event time of the first row of each split, in milliseconds since 1970"},
    [WR_GENERATOR_TIME_STEP] = {.key = "time-step-ns",
                                .type = WR_CONNECTOR_NUMBER,
                                .default_text = "0",
                                .maximum = INT64_MAX,
                                .help = "nanoseconds of event time between two rows of a split"},
};

void wr_generator_config_read(const struct wr_connector_value *values, struct wr_generator_config *out_config) {
  *out_config = (struct wr_generator_config){.seed = (uint64_t)values[WR_GENERATOR_SEED].number,
                                             .key_count = (uint64_t)values[WR_GENERATOR_KEY_COUNT].number,
                                             .is_skewed = values[WR_GENERATOR_KEY_SKEW].number != 0,
                                             .row_count = (uint64_t)values[WR_GENERATOR_ROW_COUNT].number,
                                             .rows_per_second = (uint64_t)values[WR_GENERATOR_ROWS_PER_SECOND].number,
                                             .split_count = (uint32_t)values[WR_GENERATOR_SPLIT_COUNT].number,
                                             .start_time_ms = values[WR_GENERATOR_START_TIME].number,
                                             .time_step_ns = (uint64_t)values[WR_GENERATOR_TIME_STEP].number};
}
