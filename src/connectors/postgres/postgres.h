/* connectors/postgres/postgres.h: PostgreSQL (12 and later) behind the seam of sql_driver.h.
 *
 * Types: BOOLEAN boolean; INT integer, bigint, numeric or double precision; BIGINT bigint or numeric; DOUBLE double
 * precision; STRING text, varchar, char, json, jsonb or uuid; BYTES bytea; TIMESTAMP timestamp or timestamptz (as UTC),
 * to the digits that the column has, and a row with more is refused, or text, with all nine.
 */
#ifndef WR_CONNECTORS_POSTGRES_POSTGRES_H
#define WR_CONNECTORS_POSTGRES_POSTGRES_H

#include "connectors/sql/sql_server.h"

/* For wr_sql_config.new_driver; its driver_config is a struct wr_sql_server. */
enum weir_code wr_postgres_driver_new(const struct wr_sql_config *config, const struct wr_target_context *context,
                                      struct wr_sql_driver **out_driver, struct weir_error *error);

#endif
