-- Rows that have no place on the map: one of them must not keep its neighbours from being shown.
-- Run with the store's schema first in the search path.

-- A geometry of a CRS in CRS84, plane and without arcs; null where it cannot be brought there, or
-- lies beyond what degrees can say. Called only of tables that are known to hold such rows: it
-- costs more than the bare functions do.
DO $do$
DECLARE
  gis text := (SELECT n.nspname FROM pg_catalog.pg_extension e
               JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis');
BEGIN
  EXECUTE format($make$
CREATE FUNCTION place(g %1$I.geometry, srid integer) RETURNS %1$I.geometry
LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE SET search_path = %1$I, pg_catalog, pg_temp AS $body$
DECLARE
  placed geometry;
BEGIN
  placed := ST_SetSRID(ST_CurveToLine(ST_Force2D(g)), srid);
  IF srid <> 4326 THEN
    placed := ST_Transform(placed, 4326);
  END IF;
  -- NaN is greater than all numbers here: it is beyond the upper limits.
  IF ST_IsEmpty(placed) OR NOT (ST_XMin(placed) >= -180.000001 AND ST_XMax(placed) <= 180.000001
      AND ST_YMin(placed) >= -90.000001 AND ST_YMax(placed) <= 90.000001) THEN
    RETURN NULL;
  END IF;
  RETURN placed;
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $body$ $make$, gis);
END $do$;
