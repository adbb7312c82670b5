/* connectors/source_options.h: rows that several sources have in their tables of options. */
#ifndef WR_CONNECTORS_SOURCE_OPTIONS_H
#define WR_CONNECTORS_SOURCE_OPTIONS_H

#include "connectors/connector_options.h"

#define WR_SOURCE_FORMAT_ROW(name, what)                                                                               \
  { .key = (name), .type = WR_CONNECTOR_CHOICE, .default_text = "json", .choices = "json", .help = (what) }

/* `split` is what the source reads side by side: "a file". */
#define WR_SOURCE_IDLE_ROW(split)                                                                                      \
  {                                                                                                                    \
    .key = "scan.watermark.idle-timeout", .type = WR_CONNECTOR_DURATION, .default_text = "0s", .minimum = 0,           \
    .maximum = 31536000000, .help = split " without records for so long holds back no watermark; 0s: never"            \
  }

#endif
