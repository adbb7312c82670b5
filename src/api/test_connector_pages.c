/* api/test_connector_pages.c: docs/connectors.md has the options of every connector as its table has them. */
#include "base/test.h"
#include "connectors/directory/directory.h"
#include "connectors/kafka/kafka_target.h"
#include "connectors/sql/sql_server.h"

static const struct {
  const char *connector;
  const struct wr_connector_option *table;
  uint32_t count;
} tables[] = {{"files in a folder", wr_directory_options, WR_DIRECTORY_OPTION_COUNT},
              {"a Kafka topic as a sink", wr_kafka_sink_options, WR_KAFKA_SINK_OPTION_COUNT},
              {"a table on a database server", wr_sql_options, WR_SQL_OPTION_COUNT}};

TEST(the_page_has_every_table) {
  static char rows[16384], page[128 * 1024];
  char path[512];
  snprintf(path, sizeof path, "%s/docs/connectors.md", WEIR_ROOT);
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  page[fread(page, 1, sizeof page - 1, file)] = 0;
  fclose(file);
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    CHECK(wr_connector_options_help(tables[i].table, tables[i].count, true, rows, sizeof rows) < sizeof rows);
    if (strstr(page, rows) == NULL)
      TEST_FAIL("docs/connectors.md has not these rows of %s:\n%s", tables[i].connector, rows);
  }
}

TEST_MAIN(TEST_CASE(the_page_has_every_table))
