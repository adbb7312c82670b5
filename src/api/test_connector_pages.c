/* api/test_connector_pages.c: docs/connectors.md, and --help, have the options of every kind of connector as its table
 * has them. */
#include "api/api_int.h"
#include "base/test.h"
#include "connectors/connector_options.h"

static char rows[16384], text[128 * 1024];

static void has_table(const struct wr_connector_table *table, bool is_markdown, const char *where) {
  size_t length = wr_connector_options_help(table->options, table->option_count, is_markdown, rows, sizeof rows);
  WR_ASSERT(length > 0 && length < sizeof rows);
  if (strstr(text, rows) == NULL) TEST_FAIL("%s has not these lines of %s:\n%s", where, table->connector, rows);
}

TEST(the_page_has_every_table) {
  char path[512];
  snprintf(path, sizeof path, "%s/docs/connectors.md", WEIR_ROOT);
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  for (uint32_t i = 0; i < WR_CONNECTOR_TABLE_COUNT; i++)
    has_table(&wr_connector_tables[i], true, "docs/connectors.md");
}

TEST(the_help_has_every_table) {
  struct weir_options *options = NULL;
  CHECK_INT(weir_options_new(&options, NULL), WEIR_OK);
  CHECK(weir_options_help(options, "pv", "counts views", text, sizeof text) < sizeof text);
  for (uint32_t i = 0; i < WR_CONNECTOR_TABLE_COUNT; i++)
    if (wr_connector_tables[i].by != NULL) has_table(&wr_connector_tables[i], false, "--help");
  weir_options_free(&options);
}

TEST_MAIN(TEST_CASE(the_page_has_every_table), TEST_CASE(the_help_has_every_table))
