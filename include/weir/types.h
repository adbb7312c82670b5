/* weir/types.h: the types of a record's fields, and schemas. Plain values; any thread.
 *
 * The names are Flink SQL's. Each type has a fixed width in a batch's column; what is longer lies in a heap that the
 * column's views point into (src/data/batch.h).
 */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, bytes of a value in a column) */
#define WEIR_TYPES(X)                                                                                                  \
  X(BOOLEAN, 1)    /* uint8_t, 0 or 1 */                                                                               \
  X(INT, 4)        /* int32_t */                                                                                       \
  X(BIGINT, 8)     /* int64_t */                                                                                       \
  X(DOUBLE, 8)     /* IEEE 754 binary64 */                                                                             \
  X(STRING, 16)    /* UTF-8; an Arrow binary view */                                                                   \
  X(BYTES, 16)     /* any bytes; an Arrow binary view */                                                               \
  X(TIMESTAMP, 16) /* struct weir_timestamp: TIMESTAMP(9), years 0001 to 9999 */

enum weir_type {
#define WEIR_TYPE_ENUM(name, width) WEIR_TYPE_##name,
  WEIR_TYPES(WEIR_TYPE_ENUM)
#undef WEIR_TYPE_ENUM
      WEIR_TYPE_COUNT
};

/* A point in time without zone, as Flink keeps it: milliseconds since 1970 and the nanoseconds within the millisecond.
 */
struct weir_timestamp {
  int64_t milliseconds;
  int32_t nanoseconds; /* 0 to 999,999 */
  int32_t zero;        /* always 0, so that equal values are equal bytes */
};

/* What a row of a changelog says. The numbers are those of Flink's RowKind. */
enum weir_row_kind {
  WEIR_INSERT = 0,        /* +I */
  WEIR_UPDATE_BEFORE = 1, /* -U */
  WEIR_UPDATE_AFTER = 2,  /* +U */
  WEIR_DELETE = 3         /* -D */
};

struct weir_field {
  const char *name; /* UTF-8, at most 255 bytes; borrowed, must outlive the schema's users */
  enum weir_type type;
  bool nullable;
};

struct weir_schema {
  const struct weir_field *fields; /* borrowed */
  uint32_t field_count;            /* 1 to 1,024 */
};

#endif
