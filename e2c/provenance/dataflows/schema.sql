-- Tables of DfAnalyzer (PROV-Df) with their names and columns, and what this service adds.
-- Executed at every start of the database: each statement must do nothing the second time. A column that is there
-- already is passed over, so that databases of earlier versions get the later columns.
-- Tables that grow with the records have no keys: ids come from the single writer, and a key would cost at each row.
CREATE TABLE IF NOT EXISTS "public".dataflow (id INTEGER NOT NULL PRIMARY KEY, tag TEXT NOT NULL, declared BOOLEAN NOT NULL, schema_name TEXT);
CREATE TABLE IF NOT EXISTS "public".dataflow_version (version INTEGER NOT NULL PRIMARY KEY, df_id INTEGER NOT NULL, digest TEXT, definition TEXT, created TIMESTAMP);
CREATE TABLE IF NOT EXISTS "public".data_transformation (id INTEGER NOT NULL PRIMARY KEY, df_id INTEGER NOT NULL, tag TEXT NOT NULL, declared BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS "public".program (id INTEGER NOT NULL PRIMARY KEY, df_id INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".use_program (dt_id INTEGER NOT NULL, program_id INTEGER NOT NULL, PRIMARY KEY (dt_id, program_id));
CREATE TABLE IF NOT EXISTS "public".data_set (id INTEGER NOT NULL PRIMARY KEY, df_id INTEGER NOT NULL, tag TEXT NOT NULL, declared BOOLEAN NOT NULL, table_name TEXT NOT NULL, view_name TEXT);
CREATE TABLE IF NOT EXISTS "public".data_dependency (id INTEGER NOT NULL PRIMARY KEY, previous_dt_id INTEGER, next_dt_id INTEGER, ds_id INTEGER NOT NULL, previous_column TEXT, next_column TEXT);
CREATE TABLE IF NOT EXISTS "public".extractor (id INTEGER NOT NULL PRIMARY KEY, ds_id INTEGER NOT NULL, tag TEXT NOT NULL, cartridge TEXT NOT NULL, extension TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".extractor_combination (id INTEGER NOT NULL PRIMARY KEY, ds_id INTEGER NOT NULL, outer_ext_id INTEGER NOT NULL, inner_ext_id INTEGER NOT NULL, keys TEXT NOT NULL, key_types TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".attribute (id INTEGER NOT NULL PRIMARY KEY, ds_id INTEGER NOT NULL, extractor_id INTEGER, name TEXT, type TEXT, ordinal INTEGER, column_name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".task (id INTEGER NOT NULL, identifier BIGINT, df_version INTEGER NOT NULL, dt_id INTEGER NOT NULL, status TEXT, workspace TEXT, computing_resource TEXT, output_msg TEXT, error_msg TEXT, client_id INTEGER, key TEXT, started TIMESTAMP, ended TIMESTAMP);
CREATE TABLE IF NOT EXISTS "public".file (id INTEGER NOT NULL, task_id INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL);
ALTER TABLE "public".task ADD COLUMN workflow TEXT;
ALTER TABLE "public".task ADD COLUMN parent_id INTEGER;
ALTER TABLE "public".task ADD COLUMN parent_key TEXT;
ALTER TABLE "public".task ADD COLUMN parent_dt_id INTEGER;
ALTER TABLE "public".file ADD COLUMN size BIGINT;
ALTER TABLE "public".file ADD COLUMN digest TEXT;
ALTER TABLE "public".file ADD COLUMN problem TEXT;
ALTER TABLE "public".file ADD COLUMN ds_id INTEGER;
ALTER TABLE "public".file ADD COLUMN attribute TEXT;
CREATE OR REPLACE VIEW "public".performance (id, task_id, subtask_id, method, description, starttime, endtime, invocation, started, ended) AS SELECT id, coalesce(parent_id, id), CASE WHEN parent_id IS NULL THEN CAST(NULL AS INTEGER) ELSE id END, 'COMPUTATION', CAST(NULL AS TEXT), CAST(started AS TEXT), CAST(ended AS TEXT), CAST(NULL AS TEXT), started, ended FROM "public".task;
CREATE TABLE IF NOT EXISTS "public".client (id INTEGER NOT NULL, user_name TEXT NOT NULL, client TEXT NOT NULL, host TEXT, about TEXT, first_seen TIMESTAMP, last_seen TIMESTAMP, last_seq BIGINT NOT NULL, received BIGINT NOT NULL, stored BIGINT NOT NULL, rejected BIGINT NOT NULL, lost BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".client_shape (client_id INTEGER NOT NULL, number BIGINT NOT NULL, shape TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".loss (client_id INTEGER NOT NULL, first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL, lost_records BIGINT, reason TEXT, noticed TIMESTAMP);
CREATE TABLE IF NOT EXISTS "public".rejected (client_id INTEGER, seq BIGINT, ordinal INTEGER, workflow TEXT, transformation TEXT, task TEXT, reason TEXT NOT NULL, payload TEXT, noticed TIMESTAMP);
CREATE TABLE IF NOT EXISTS "public".workflow (id INTEGER NOT NULL, df_version INTEGER NOT NULL, client_id INTEGER, tag TEXT, status TEXT, error_msg TEXT, started TIMESTAMP, ended TIMESTAMP);
CREATE TABLE IF NOT EXISTS "public".task_dependency (task_id INTEGER NOT NULL, dependency_key TEXT NOT NULL, dependency_id INTEGER);
CREATE TABLE IF NOT EXISTS "public".task_extra (task_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT);
CREATE TABLE IF NOT EXISTS "public".derivation (task_id INTEGER NOT NULL, ds_id INTEGER NOT NULL, derived_from TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS "public".exact_value (ds_id INTEGER NOT NULL, element_id INTEGER NOT NULL, attribute_id INTEGER NOT NULL, value TEXT NOT NULL);
CREATE OR REPLACE VIEW "public".undeclared (dataflow, transformation, data_set, table_name) AS SELECT f.tag, t.tag, CAST(NULL AS TEXT), CAST(NULL AS TEXT) FROM "public".data_transformation AS t JOIN "public".dataflow AS f ON f.id = t.df_id WHERE NOT t.declared UNION ALL SELECT f.tag, CAST(NULL AS TEXT), s.tag, s.table_name FROM "public".data_set AS s JOIN "public".dataflow AS f ON f.id = s.df_id WHERE NOT s.declared;
ALTER TABLE "public".client ADD COLUMN lag_us BIGINT;
ALTER TABLE "public".extractor ADD COLUMN column_name TEXT;
ALTER TABLE "public".extractor ADD COLUMN view_name TEXT;
ALTER TABLE "public".task_dependency ADD COLUMN id INTEGER;
ALTER TABLE "public".task ADD COLUMN key_sum INTEGER;
ALTER TABLE "public".task ADD COLUMN run TEXT;
ALTER TABLE "public".client ADD COLUMN run TEXT;
CREATE TABLE IF NOT EXISTS "public".awaited_task (id INTEGER NOT NULL, task_id INTEGER NOT NULL, key TEXT NOT NULL, key_sum INTEGER NOT NULL, named_by INTEGER, parent_dt_id INTEGER, ambiguous BOOLEAN);
CREATE TABLE IF NOT EXISTS "public".awaited_set (id INTEGER NOT NULL, task_id INTEGER NOT NULL, dt_id INTEGER NOT NULL, ds_id INTEGER NOT NULL, producer_id INTEGER, named_by INTEGER);
CREATE OR REPLACE VIEW "public".task_link (ds_id, producer_id, consumer_id) AS SELECT c.ds_id, d.dependency_id, d.task_id FROM "public".task_dependency AS d JOIN "public".task AS t ON t.id = d.task_id JOIN "public".task AS p ON p.id = d.dependency_id JOIN (SELECT DISTINCT made.ds_id, made.previous_dt_id, used.next_dt_id FROM "public".data_dependency AS made JOIN "public".data_dependency AS used ON used.ds_id = made.ds_id WHERE made.previous_column IS NOT NULL AND used.next_column IS NOT NULL) AS c ON c.previous_dt_id = p.dt_id AND c.next_dt_id = t.dt_id;
