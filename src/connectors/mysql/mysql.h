/* connectors/mysql/mysql.h: MySQL and MariaDB behind the seam of sql_driver.h. Tables are of engine InnoDB.
 *
 * Types: BOOLEAN boolean, bit or an integer; INT int, bigint, decimal or double; BIGINT bigint or decimal; DOUBLE
 * double (NaN and infinity are refused); STRING char, varchar, text, json or uuid; BYTES varbinary or blob; TIMESTAMP
 * datetime or timestamp (as UTC), to the digits that the column has, and a row with more is refused, or text, with all
 * nine. A STRING in a key needs a binary collation: others take texts that differ for equal.
 */
#ifndef WR_CONNECTORS_MYSQL_MYSQL_H
#define WR_CONNECTORS_MYSQL_MYSQL_H

#include "connectors/sql/sql_server.h"

/* For wr_sql_config.new_driver; its driver_config is a struct wr_sql_server. */
enum weir_code wr_mysql_driver_new(const struct wr_sql_config *config, const struct wr_target_context *context,
                                   struct wr_sql_driver **out_driver, struct weir_error *error);

#endif
