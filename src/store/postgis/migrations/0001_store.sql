-- The tables of the store. Run with the store's schema first in the search path; its name and
-- that of the views' schema are the program's business.

-- Moves with every change of what is current, in the same transaction.
CREATE TABLE state (one boolean PRIMARY KEY DEFAULT true CHECK (one), generation bigint NOT NULL);
INSERT INTO state (generation) VALUES (1);

-- A version: its features are the table f<serial>, its tiles' geometry the table t<serial>.
CREATE TABLE versions (
  serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  layer text NOT NULL,
  id text NOT NULL,
  description json NOT NULL,       -- model::Version
  storage json NOT NULL,           -- how the columns are stored
  comment text NOT NULL,           -- title and provenance, for the view
  published boolean NOT NULL DEFAULT false,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (layer, id));

-- In which chunk of t<serial> each feature is, 4096 features to a block (see open.rs).
CREATE TABLE places (
  version bigint NOT NULL REFERENCES versions ON DELETE CASCADE,
  block integer NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (version, block));

-- Which features each commune has, 256 communes to a block (see reach.rs).
CREATE TABLE reaches (
  serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version bigint NOT NULL REFERENCES versions ON DELETE CASCADE,
  id text NOT NULL,
  communes integer NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (version, id));
CREATE TABLE reach_blocks (
  reach bigint NOT NULL REFERENCES reaches ON DELETE CASCADE,
  block integer NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (reach, block));
-- To how many communes each feature is attached, 4096 features to a block.
CREATE TABLE reach_degrees (
  reach bigint NOT NULL REFERENCES reaches ON DELETE CASCADE,
  block integer NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (reach, block));
-- A roaring bitmap per territory of the other levels.
CREATE TABLE reach_others (
  reach bigint NOT NULL REFERENCES reaches ON DELETE CASCADE,
  territory text NOT NULL,
  bytes bytea NOT NULL,
  PRIMARY KEY (reach, territory));

-- What is current.
CREATE TABLE layers (
  layer text PRIMARY KEY,
  version bigint NOT NULL REFERENCES versions,
  reach bigint NOT NULL,
  source json NOT NULL,            -- model::Harvested, as last seen
  shown bigint);                   -- the version that the layer's view shows

-- The right to write a layer, for a while: renewed while the work goes on.
CREATE TABLE claims (
  layer text PRIMARY KEY,
  token text NOT NULL,
  holder text NOT NULL,
  expires timestamptz NOT NULL);

-- What a process reads, for a while: a reach index, and with it its version.
CREATE TABLE holds (
  reader text NOT NULL,
  reach bigint NOT NULL REFERENCES reaches ON DELETE CASCADE,
  expires timestamptz NOT NULL,
  PRIMARY KEY (reader, reach));
CREATE INDEX ON holds (reach);

-- Makes the view of a layer show a version under the fields' own names. Names are data here:
-- format() quotes them. Says what kept it from doing so, or null.
CREATE FUNCTION show_layer(
  views text, store text, view_name text, version bigint, columns text[], names text[],
  comment_text text) RETURNS text LANGUAGE plpgsql AS $body$
DECLARE
  list text := '';
  def text;
BEGIN
  FOR i IN 1 .. coalesce(array_length(columns, 1), 0) LOOP
    list := list || CASE WHEN i > 1 THEN ', ' ELSE '' END
      || format('%I AS %I', columns[i], names[i]);
  END LOOP;
  def := format('VIEW %I.%I AS SELECT %s FROM %I.%I', views, view_name, list, store, 'f' || version);
  PERFORM set_config('lock_timeout', '2s', true);
  BEGIN
    EXECUTE 'CREATE OR REPLACE ' || def;
  EXCEPTION WHEN invalid_table_definition THEN
    -- Other columns: the view is made anew, unless something was built on it.
    EXECUTE format('DROP VIEW %I.%I', views, view_name);
    EXECUTE 'CREATE ' || def;
  END;
  EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, view_name, comment_text);
  PERFORM set_config('lock_timeout', '0', true);
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  PERFORM set_config('lock_timeout', '0', true);
  RETURN SQLERRM;
END $body$;
