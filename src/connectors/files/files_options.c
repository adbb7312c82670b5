/* connectors/files/files_options.c: the options of a files source. Pure. */
#include "connectors/files/files.h"

#include "connectors/source_options.h"

const struct wr_connector_option wr_files_options[WR_FILES_OPTION_COUNT] = {
    [WR_FILES_PATH] = {.key = "path",
                       .type = WR_CONNECTOR_TEXT,
                       .help = "the folder; each *.ndjson file in it is a partition"},
    [WR_FILES_FORMAT] = WR_SOURCE_FORMAT_ROW("format", "what a line of a file is"),
    [WR_FILES_MONITOR_INTERVAL] = {.key = "source.monitor-interval",
                                   .type = WR_CONNECTOR_DURATION,
                                   .default_text = "1s",
                                   .minimum = 1,
                                   .maximum = 86400000,
                                   .help = "time between two looks for new files"},
    [WR_FILES_IDLE_TIMEOUT] = WR_SOURCE_IDLE_ROW("a file"),
};

void wr_files_config_read(const struct wr_connector_value *values, struct wr_files_config *out_config) {
  *out_config = (struct wr_files_config){.folder = values[WR_FILES_PATH].text,
                                         .suffix = ".ndjson",
                                         .idle_timeout_ms = (uint64_t)values[WR_FILES_IDLE_TIMEOUT].number,
                                         .scan_interval_ms = (uint64_t)values[WR_FILES_MONITOR_INTERVAL].number};
}
