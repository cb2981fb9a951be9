-- Published tables: their revisions, where each touched them, their attachments. Run with the
-- store's schema first in the search path.

-- A published table or view, as all replicas see it.
CREATE TABLE live (
  layer text PRIMARY KEY,
  own oid NOT NULL,                -- the table or view itself
  relations oid[] NOT NULL,        -- it, and what it is made of
  revision bigint NOT NULL,
  base bigint NOT NULL,            -- the last revision that touched the whole layer
  changed_at timestamptz NOT NULL,
  fingerprint text NOT NULL,       -- what a look at it saw last
  figures json NOT NULL,           -- count, extent, kind of geometry
  reach bigint,                    -- the attachments in force
  seen timestamptz NOT NULL DEFAULT now());

-- The cells of zoom 8 that revisions after the base touched.
CREATE TABLE live_cells (
  layer text NOT NULL REFERENCES live ON DELETE CASCADE,
  x integer NOT NULL,
  y integer NOT NULL,
  revision bigint NOT NULL,
  PRIMARY KEY (layer, x, y));

-- Edits that were announced and not looked at yet; no box: anywhere.
CREATE TABLE live_edits (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  layer text NOT NULL,
  west float8, south float8, east float8, north float8);
CREATE INDEX ON live_edits (layer);

-- Attachments: the table a<serial> holds them by commune, o<serial> by territory of other levels.
CREATE TABLE live_reaches (
  serial bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  layer text NOT NULL,
  id text NOT NULL,
  revision bigint NOT NULL);
CREATE INDEX ON live_reaches (layer);

-- Notes an edit of a table for all layers that show it. What goes wrong here never stands in the
-- way of the edit: then the whole layer counts as touched.
DO $do$
DECLARE
  gis text := (SELECT n.nspname FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis');
  store text := current_schema();
BEGIN
  EXECUTE format($make$
CREATE FUNCTION announce_edit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, %2$I, %1$I, pg_temp AS $body$
DECLARE
  source text;
  boxes box[];
  given text := coalesce(TG_ARGV[1], '0');
BEGIN
  IF NOT EXISTS (SELECT 1 FROM live WHERE TG_RELID = ANY (relations)
                 AND seen > now() - interval '1 day') THEN
    RETURN NULL;
  END IF;
  BEGIN
    IF TG_OP = 'INSERT' THEN
      source := format('SELECT %%I AS g FROM new_rows', TG_ARGV[0]);
    ELSIF TG_OP = 'DELETE' THEN
      source := format('SELECT %%I AS g FROM old_rows', TG_ARGV[0]);
    ELSIF TG_OP = 'UPDATE' THEN
      source := format('SELECT %%1$I AS g FROM old_rows UNION ALL SELECT %%1$I FROM new_rows', TG_ARGV[0]);
    END IF;
    IF source IS NOT NULL THEN
      -- One box a degree: edits far apart do not touch what lies between them.
      EXECUTE 'SELECT array_agg(b) FROM (
        SELECT box(point(min(ST_XMin(e)), min(ST_YMin(e))), point(max(ST_XMax(e)), max(ST_YMax(e)))) AS b
        FROM (SELECT CASE
                WHEN ST_SRID(g) IN (4326, 4171) THEN ST_Envelope(g)
                ELSE ST_Expand(ST_Transform(ST_Segmentize(
                  CASE WHEN ST_SRID(g) = 0 THEN ST_SetSRID(ST_Envelope(g), ' || given::int || ')
                       ELSE ST_Envelope(g) END,
                  greatest(ST_XMax(g) - ST_XMin(g), ST_YMax(g) - ST_YMin(g)) / 8 + 1), 4326), 0.0001)
              END AS e
              FROM (SELECT g::geometry AS g FROM (' || source || ') t) s WHERE NOT ST_IsEmpty(g)) boxes
        GROUP BY floor(ST_XMin(e)), floor(ST_YMin(e))) grouped' INTO boxes;
      -- Rows without geometry are on no tile, but they are rows.
      boxes := coalesce(boxes, ARRAY[box(point('Infinity'::float8, 'Infinity'::float8), point('Infinity'::float8, 'Infinity'::float8))]);
    END IF;
    IF array_length(boxes, 1) > 500 THEN
      boxes := NULL;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    boxes := NULL;
  END;
  BEGIN
    INSERT INTO live_edits (layer, west, south, east, north)
    SELECT l.layer, (b[1])[0], (b[1])[1], (b[0])[0], (b[0])[1]
    FROM live l, unnest(CASE WHEN l.own = TG_RELID THEN coalesce(boxes, ARRAY[NULL::box])
                             ELSE ARRAY[NULL::box] END) AS b
    WHERE TG_RELID = ANY (l.relations);
    PERFORM pg_notify(%3$L, 'edit');
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'socle: an edit was not announced: %%', SQLERRM;
  END;
  RETURN NULL;
END $body$ $make$, store, gis, store);
END $do$;

-- Has a table announce its edits. To be run by its owner; `geometry` is the column, `srid` its
-- EPSG code where the column itself says none.
CREATE FUNCTION watch_table(relation regclass, geometry name, srid integer DEFAULT 0)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
DECLARE
  store text := current_schema();
  kind text;
BEGIN
  FOREACH kind IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
    EXECUTE format('CREATE TRIGGER %I AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION %I.announce_edit(%L, %L)',
      'socle_' || lower(kind), kind, relation,
      CASE kind WHEN 'INSERT' THEN 'REFERENCING NEW TABLE AS new_rows'
                WHEN 'DELETE' THEN 'REFERENCING OLD TABLE AS old_rows'
                ELSE 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows' END,
      store, geometry, srid::text);
  END LOOP;
  EXECUTE format('CREATE TRIGGER socle_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %I.announce_edit(%L, %L)',
    relation, store, geometry, srid::text);
END $body$;
