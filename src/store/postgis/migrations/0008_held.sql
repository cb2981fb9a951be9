-- Why a version that was loaded waits for a person; null when it does not.
ALTER TABLE versions ADD COLUMN held json;       -- model::Hold
