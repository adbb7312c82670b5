/* connectors/sql/sql_row_text.h: a row in a message: "app_id = 'x'". Pure; any thread. */
#ifndef WR_CONNECTORS_SQL_SQL_ROW_TEXT_H
#define WR_CONNECTORS_SQL_SQL_ROW_TEXT_H

#include "data/batch.h"

#include <stddef.h>

/* These fields of the row (count 0: all), cut to `size`; long values are cut, bytes that are no letters are escaped. */
void wr_sql_row_text(const struct wr_batch *batch, uint32_t row, const uint32_t *fields, uint32_t count, char *buffer,
                     size_t size);

#endif
